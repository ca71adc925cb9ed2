"""A tenant's quota as the kernel has it: read back, changed while something runs, mended after a drift."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from paas.errors import LimitRefused
from paas.linux import disks, journal, writeback
from paas.linux.cgroups import Cgroup, host_tree, io_throttling
from paas.runtime.space import disk_of
from paas.specs import BYTES_PER_INODE, MIB, Effective, Limits, TenantSpec
from tests.runtime.conftest import CGROUP_ROOT, Bed
from tests.runtime.test_limits import holding
from tests.runtime.test_volumes import DATA

pytestmark = pytest.mark.kernel
V2 = host_tree().version == 2
LIMITED = Limits(memory_bytes=64 * MIB, pids=32, io_bytes=25 * MIB, io_operations=600)


@pytest.fixture(autouse=True)
def as_before(bed: Bed) -> None:
    bed.runtime.apply_quota(bed.tenant)


def effective(bed: Bed) -> Effective:
    found = bed.runtime.tenant_effective(bed.tenant.id)
    assert found is not None
    return found


def test_what_is_in_force_is_read_back(bed: Bed) -> None:
    found, quota = effective(bed), bed.tenant.quota
    assert (found.memory_bytes, found.cpu_millis, found.pids) == (
        quota.memory_bytes,
        quota.cpu_millis,
        quota.pids,
    )
    assert found.swap_bytes in (quota.swap_bytes, None)
    assert (found.swap_used is None) == (found.swap_bytes is None), "it is counted where it is limited"
    assert found.disk_whole == bed.tenant.disk_bytes and found.disk_bytes is not None
    assert 0.8 * bed.tenant.disk_bytes < found.disk_bytes < bed.tenant.disk_bytes
    assert found.inodes is not None and found.inodes >= bed.tenant.disk_bytes // BYTES_PER_INODE
    assert bed.runtime.tenant_effective("e" * 12) is None


def test_who_read_the_quota_before_it_was_lowered_starts_below_it(bed: Bed) -> None:
    bed.runtime.apply_quota(replace(bed.tenant, quota=replace(bed.tenant.quota, cpu_millis=500)))
    spec = bed.launch(bed.spec("sleep 60", limits=Limits(memory_bytes=64 * MIB, cpu_millis=1500, pids=32)))
    assert bed.runtime.effective(spec.id).cpu_millis == 500
    bed.runtime.apply_quota(bed.tenant)
    assert bed.runtime.effective(spec.id).cpu_millis == 1500


def test_a_change_holds_at_once_for_what_runs_and_so_does_its_return(bed: Bed) -> None:
    spec = bed.launch(bed.spec("sleep 60", limits=Limits(memory_bytes=64 * MIB, cpu_millis=1500, pids=32)))
    own = bed.runtime.effective(spec.id)
    assert (own.memory_bytes, own.cpu_millis, own.pids) == (64 * MIB, 1500, 32)
    less = Limits(memory_bytes=128 * MIB, swap_bytes=0, cpu_millis=500, pids=100)
    bed.runtime.apply_quota(replace(bed.tenant, quota=less))
    found = effective(bed)
    assert (found.memory_bytes, found.cpu_millis, found.pids) == (128 * MIB, 500, 100)
    assert bed.runtime.effective(spec.id).cpu_millis == 500
    bed.runtime.apply_quota(bed.tenant)
    assert effective(bed).cpu_millis == 2000 and bed.runtime.effective(spec.id).cpu_millis == 1500
    assert bed.runtime.state(spec.id).status == "running"


def test_a_limit_that_is_refused_keeps_no_other_from_being_set_and_no_launch_from_beginning(bed: Bed) -> None:
    spec = bed.launch(bed.spec(holding(60), limits=Limits(memory_bytes=256 * MIB, swap_bytes=0, pids=32)))
    bed.until(lambda: bed.output(spec) == ["has it"])
    less = Limits(memory_bytes=32 * MIB, swap_bytes=0, cpu_millis=300, pids=100, io_bytes=5 * MIB)
    tenant = replace(bed.tenant, quota=less, since=9.0)
    with pytest.raises(LimitRefused, match=r"cannot be limited to 32 MiB: what runs holds \d+ MiB"):
        bed.runtime.apply_quota(tenant)
    found = effective(bed)
    assert found.memory_bytes == bed.tenant.quota.memory_bytes and not found.swap_bytes, "as they were"
    assert (found.cpu_millis, found.pids) == (300, 100)
    assert found.io_bytes == (5 * MIB if io_throttling(host_tree()) else None)
    assert bed.runtime.effective(spec.id).cpu_millis == 300, "what runs is held to the rest"

    for changed in (tenant, replace(tenant, since=10.0, disk_bytes=tenant.disk_bytes)):
        bed.runtime.prepare_tenant(changed)
        assert bed.says("echo fine", tenant=changed) == ["fine"]
        assert effective(bed).memory_bytes == bed.tenant.quota.memory_bytes, "no launch takes it away"
    assert bed.runtime.state(spec.id).status == "running" and bed.runtime.usage(spec.id).oom_kills == 0

    bed.runtime.delete(spec.id)
    bed.runtime.apply_quota(tenant)
    assert (effective(bed).memory_bytes, effective(bed).swap_bytes or 0) == (32 * MIB, 0)


def test_where_a_limit_is_refused_and_none_is_in_force_nothing_begins(bed: Bed) -> None:
    spec = bed.launch(bed.spec(holding(60), limits=Limits(memory_bytes=256 * MIB, swap_bytes=0, pids=32)))
    bed.until(lambda: bed.output(spec) == ["has it"])
    memory = Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}").folder("memory")
    for name in ("memory.max",) if V2 else ("memory.memsw.limit_in_bytes", "memory.limit_in_bytes"):
        if (memory / name).exists():
            (memory / name).write_text("max" if V2 else "-1")
    less = replace(bed.tenant, quota=Limits(memory_bytes=32 * MIB, swap_bytes=0), since=9.0)
    for _ in range(2):
        with pytest.raises(LimitRefused):
            bed.runtime.prepare_tenant(less)
    bed.runtime.delete(spec.id)
    bed.runtime.prepare_tenant(less)
    assert effective(bed).memory_bytes == 32 * MIB


def test_a_launch_that_read_the_quota_before_its_change_does_not_undo_it(bed: Bed) -> None:
    less = replace(bed.tenant, quota=replace(bed.tenant.quota, pids=100), since=2.0)
    bed.runtime.apply_quota(less)
    bed.runtime.prepare_tenant(replace(bed.tenant, since=1.0))
    assert effective(bed).pids == 100
    bed.runtime.prepare_tenant(replace(bed.tenant, since=3.0))
    assert effective(bed).pids == bed.tenant.quota.pids


def test_what_somebody_wrote_into_the_cgroup_is_seen_and_mended(bed: Bed) -> None:
    slice_ = Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}")
    (slice_.folder("pids") / "pids.max").write_text("max")
    assert effective(bed).pids is None
    bed.runtime.apply_quota(bed.tenant)
    assert effective(bed).pids == bed.tenant.quota.pids


@pytest.mark.parametrize("way", [("rbps", "read_bps"), ("wiops", "write_iops")])
def test_a_containers_limit_on_disks_that_somebody_changed_is_seen_and_mended(
    bed: Bed, way: tuple[str, str]
) -> None:
    spec = bed.launch(bed.spec("sleep 60", limits=LIMITED))
    assert bed.runtime.is_held(spec.id, bed.tenant.quota)
    if not io_throttling(host_tree()):
        return  # there is nothing to change
    disk, io = (
        disk_of(bed.paths.state),
        Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}/{spec.id}").io,
    )
    assert io is not None
    for value in ("1000", "max" if V2 else "0"):
        file = io / ("io.max" if V2 else f"blkio.throttle.{way[1]}_device")
        file.write_text(f"{disk} {way[0]}={value}" if V2 else f"{disk} {value}")
        assert not bed.runtime.is_held(spec.id, bed.tenant.quota)
        bed.runtime.apply_quota(bed.tenant)
        assert bed.runtime.is_held(spec.id, bed.tenant.quota)


def with_traffic(bed: Bed, io_bytes: int, io_operations: int = 0) -> TenantSpec:
    """The tenant, held to that from now on."""
    quota = replace(bed.tenant.quota, io_bytes=io_bytes, io_operations=io_operations)
    tenant = replace(bed.tenant, quota=quota, container=LIMITED)
    bed.runtime.apply_quota(tenant)
    return tenant


def traffic(found: Effective) -> tuple[int | None, int | None]:
    return found.io_bytes, found.io_operations


@pytest.mark.parametrize("io", [(20 * MIB, 0), (0, 500), (30 * MIB, 700), (0, 0)])
def test_a_quota_of_disk_traffic_is_the_tenants_as_a_whole(bed: Bed, io: tuple[int, int]) -> None:
    tenant = with_traffic(bed, *io)
    spec = bed.launch(bed.spec("sleep 60", limits=LIMITED, tenant=tenant))
    assert bed.runtime.is_held(spec.id, tenant.quota)
    if not io_throttling(host_tree()):
        return  # nothing is limited
    asked, beneath = tuple(value or None for value in io), (io[0] or 25 * MIB, io[1] or 600)
    lesser = min(beneath[0], 25 * MIB), min(beneath[1], 600)
    found, own = traffic(effective(bed)), traffic(bed.runtime.effective(spec.id))
    if V2 or not any(io):
        assert (found, own) == (asked, lesser)
    else:  # one limit for all containers, with a container's own of what has no quota
        assert found == own == beneath


def written(cgroup: Cgroup, disk: str) -> int:
    """Bytes by it and all below it, to that disk: v2 counts what goes through a loop device there as well."""
    assert cgroup.io is not None
    file = "io.stat" if V2 else "blkio.throttle.io_service_bytes_recursive"
    found = re.findall(
        rf"^{disk} .*wbytes=(\d+)" if V2 else rf"^{disk} Write (\d+)",
        (cgroup.io / file).read_text(),
        re.MULTILINE,
    )
    return sum(map(int, found))


WRITES = "while :; do dd if=/dev/zero of=/tmp/x bs=64k count=4 conv=fsync 2>/dev/null; done"


def test_two_containers_together_write_no_more_than_the_quota(bed: Bed) -> None:
    """Twice the quota is what each of them held to it by itself would come to."""
    if not io_throttling(host_tree()):
        return  # nothing is limited
    disk, rate = disk_of(bed.paths.state), 4 * MIB
    assert disk is not None, "TMPDIR must be on a disk for this"
    tenant = with_traffic(bed, rate)
    specs = [bed.launch(bed.spec(WRITES, limits=LIMITED, tenant=tenant)) for _ in range(2)]
    slice_ = Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}")
    before, begin = written(slice_, disk), time.monotonic()
    bed.until(lambda: written(slice_, disk) - before > 2 * rate)
    most = 1.4 * rate * (time.monotonic() - begin) + MIB  # v1 counts what waits too
    assert written(slice_, disk) - before < most
    bed.runtime.delete(specs[0].id)
    left = bed.runtime.effective(specs[1].id)
    assert left.io_bytes == rate and bed.runtime.is_held(specs[1].id, tenant.quota), "all of it is the other's"


def test_what_the_kernel_writes_back_later_is_held_too(bed: Bed) -> None:
    """Without fsync: on v1 that is the root cgroup's traffic, whosever the pages are."""
    if not io_throttling(host_tree()):
        return  # nothing is limited
    rate, mount = 4 * MIB, bed.paths.disks / bed.tenant.id
    tenant, own = with_traffic(bed, rate), disks.holding(mount)
    assert own is not None
    before, begin = written_to(own), time.monotonic()
    spec = bed.launch(bed.spec("dd if=/dev/zero of=/tmp/x bs=1M count=24", limits=LIMITED, tenant=tenant))
    bed.until(lambda: bed.runtime.state(spec.id).status == "stopped")
    subprocess.run(["sync", "--file-system", mount], check=True, timeout=60)
    seconds, bytes_ = time.monotonic() - begin, written_to(own) - before
    assert bytes_ >= 24 * MIB and bytes_ < 1.4 * rate * seconds + 2 * MIB, f"{bytes_:,} in {seconds:.1f} s"


STORM = """cd /srv/data; i=0
while :; do i=$((i+1)); dd if=/dev/zero of=$i bs=512 count=1 conv=fsync 2>/dev/null; done"""


def test_a_storm_of_fsync_is_held_with_what_it_does_to_the_journal(bed: Bed) -> None:
    """Of small new files the journal is most: its thread is the kernel's, and in the root cgroup by itself."""
    mine = Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}")
    if not io_throttling(host_tree()) or not journal.belongs_to_owner(mine):
        return  # nothing is limited, or not by the quota
    mount, rate = bed.paths.disks / bed.tenant.id, 40
    tenant, own = with_traffic(bed, 0, rate), disks.holding(mount)
    assert own is not None
    spec = bed.launch(bed.spec(STORM, mounts=(DATA,), limits=LIMITED, tenant=tenant))
    time.sleep(1)
    before, begin = writes_to(own), time.monotonic()
    time.sleep(6)
    done, most = writes_to(own) - before, rate * (time.monotonic() - begin)
    bed.runtime.delete(spec.id)
    assert most / 4 < done < 1.3 * most, f"{done} of {most:.0f}"
    # Anybody's sync(2) waits for what is written back later: that pays for nothing that the journal took.
    subprocess.run(["sync", "--file-system", mount], check=True, timeout=20)
    bed.runtime.remove_volume(bed.tenant, DATA.volume)


def test_a_journal_that_was_moved_away_is_brought_back(bed: Bed) -> None:
    mine, own = Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}"), disks.holding(bed.paths.disks / bed.tenant.id)
    assert own is not None and journal.is_charged(own, mine)
    if not journal.belongs_to_owner(mine):
        return  # the root cgroup's limit on this disk holds it, or nothing does
    place = Cgroup(f"{mine.name}/journal") if V2 else mine
    (thread,) = threads_of(own, place)
    Cgroup("/").attach(thread)
    assert threads_of(own, place) == [] and not bed.runtime.holds_writeback(bed.tenant)
    bed.runtime.apply_quota(bed.tenant)
    assert threads_of(own, place) == [thread] and bed.runtime.holds_writeback(bed.tenant)


def threads_of(disk: Path, cgroup: Cgroup) -> list[int]:
    """Which write the journal there, in the cgroup. A disk that was mounted before may still have one, too."""
    return [pid for pid in cgroup.pids_of_io() if journal._writes(pid, disk)]


def writes_to(disk: Path) -> int:
    """Requests so far (Documentation/block/stat.rst: the fifth)."""
    return int((disk / "stat").read_text().split()[4])


def test_no_limit_of_a_tenants_disk_outlives_its_quota(bed: Bed) -> None:
    own = disks.holding(bed.paths.disks / bed.tenant.id)
    assert own is not None
    with_traffic(bed, 5 * MIB, 700)
    limited = (5 * MIB, 700) if writeback.is_uncharged() else (0, 0)
    assert writeback.read(own) == limited
    default = replace(bed.tenant, container=Limits(io_bytes=9 * MIB))
    assert bed.runtime.holds_writeback(default) != writeback.is_uncharged()
    bed.runtime.apply_quota(default)
    assert writeback.read(own) == ((9 * MIB, 0) if writeback.is_uncharged() else (0, 0))
    assert bed.runtime.holds_writeback(default)
    bed.runtime.apply_quota(bed.tenant)
    assert writeback.read(own) == (0, 0)
    with_traffic(bed, 5 * MIB, 700)
    elsewhere = bed.paths.state.with_name(f"{bed.paths.state.name}-link")
    elsewhere.symlink_to(bed.paths.state)
    writeback.release(elsewhere / bed.paths.tenants.relative_to(bed.paths.state))
    elsewhere.unlink()
    assert writeback.read(own) == (0, 0)
    if writeback.is_uncharged():
        assert effective(bed).io_bytes is None, "that it holds no more is seen"
    bed.runtime.apply_quota(bed.tenant)


def test_a_limit_beyond_what_may_wait_is_one_all_the_same(bed: Bed) -> None:
    """The kernel refuses to let more wait for one disk than for all together."""
    own = disks.holding(bed.paths.disks / bed.tenant.id)
    assert own is not None
    with_traffic(bed, 1 << 40)
    if writeback.is_uncharged():
        assert writeback.read(own)[0] == 1 << 40
        assert (own / "bdi" / "strict_limit").read_text().strip() == "1"
        (own / "bdi" / "strict_limit").write_text("0")
        with_traffic(bed, 1 << 40)
        assert (own / "bdi" / "strict_limit").read_text().strip() == "1", "it is part of the limit"


def written_to(disk: Path) -> int:
    """Bytes so far (Documentation/block/stat.rst: the seventh is sectors of 512)."""
    return int((disk / "stat").read_text().split()[6]) * 512


def test_a_quota_of_disk_traffic_reaches_what_runs_or_sleeps_and_lets_go_of_it(bed: Bed) -> None:
    specs = [bed.launch(bed.spec("sleep 61 & exec sleep 60", limits=LIMITED)) for _ in range(2)]
    bed.until(lambda: all(bed.runtime.usage(spec.id).pids == 3 for spec in specs))
    bed.runtime.cgroup_of(specs[1].id).freeze()
    tenant, less = with_traffic(bed, 20 * MIB, 500), (20 * MIB, 500)
    for changed, wanted in ((tenant, less), (bed.tenant, (25 * MIB, 600)), (tenant, less)):
        bed.runtime.apply_quota(changed)
        beside = ("sh", "-c", "sleep 62 >&- 2>&- &")
        assert bed.runtime.exec(replace(specs[0], tenant=changed), beside).status == 0
        for spec in specs:
            assert bed.runtime.is_held(spec.id, changed.quota)
            assert bed.runtime.state(spec.id).status == "running"
            if io_throttling(host_tree()):
                assert traffic(bed.runtime.effective(spec.id)) == wanted
    assert [bed.runtime.usage(spec.id).pids for spec in specs] == [6, 3]
    bed.runtime.delete(specs[0].id)
    assert bed.leftovers(specs[0].id) == []


def test_what_somebody_took_out_of_the_tenants_cgroup_of_disks_is_brought_back(bed: Bed) -> None:
    if V2 or not io_throttling(host_tree()):
        return  # there is one cgroup for all limits
    tenant = with_traffic(bed, 20 * MIB)
    spec = bed.launch(bed.spec("sleep 60", limits=LIMITED, tenant=tenant))
    pid = bed.runtime.state(spec.id).pid
    (host_tree().root("blkio") / "cgroup.procs").write_text(str(pid))
    assert not bed.runtime.is_held(spec.id, tenant.quota)
    bed.runtime.apply_quota(tenant)
    assert bed.runtime.is_held(spec.id, tenant.quota)


def test_a_disk_grows_while_it_is_in_use_or_says_that_it_could_not(bed: Bed) -> None:
    tenant = replace(bed.tenant, id="9" * 12, uid_base=bed.tenant.uid_base + 9 * 65_536)
    larger = replace(tenant, disk_bytes=tenant.disk_bytes + 256 * MIB)
    bed.runtime.prepare_tenant(tenant)
    try:
        spec = bed.launch(bed.spec("while :; do echo still; sleep 0.1; done", tenant=tenant))
        before = bed.runtime.tenant_effective(tenant.id)
        bed.runtime.apply_quota(larger)
        found = bed.runtime.tenant_effective(tenant.id)
        assert before is not None and found is not None
        assert found.disk_whole in (tenant.disk_bytes, larger.disk_bytes)
        image = bed.paths.tenants / tenant.id / "disk.img"
        assert image.stat().st_size == larger.disk_bytes, "it has the room as soon as the kernel takes it"
        if found.disk_whole == larger.disk_bytes:
            assert (found.inodes or 0) > (before.inodes or 0)
        assert bed.runtime.state(spec.id).status == "running"
    finally:
        bed.runtime.remove_tenant(tenant.id)


def test_a_container_gets_another_memory_limit_while_it_runs_but_never_less_than_it_needs(bed: Bed) -> None:
    spec = bed.launch(bed.spec(holding(24), limits=Limits(memory_bytes=128 * MIB, swap_bytes=0, pids=32)))
    bed.until(lambda: bed.output(spec) == ["has it"])
    assert not bed.runtime.hold_to(spec.id, 16 * MIB, 16 * MIB, bed.tenant.quota)
    assert bed.runtime.effective(spec.id).memory_bytes == 128 * MIB
    for mib in (96, 160):
        assert bed.runtime.hold_to(spec.id, mib * MIB, 0, bed.tenant.quota)
        assert bed.runtime.effective(spec.id).memory_bytes == mib * MIB
        bed.runtime.apply_quota(bed.tenant)
        assert bed.runtime.effective(spec.id).memory_bytes == mib * MIB, "it is its own now"
    assert bed.runtime.is_held(spec.id, bed.tenant.quota)
    assert bed.runtime.usage(spec.id).oom_kills == 0
