"""A tenant's quota as the kernel has it: read back, changed while something runs, mended after a drift."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paas.linux.cgroups import Cgroup, host_tree, io_throttling
from paas.runtime import space
from paas.specs import BYTES_PER_INODE, MIB, Effective, Limits
from tests.runtime.conftest import CGROUP_ROOT, Bed
from tests.runtime.test_limits import holding

pytestmark = pytest.mark.kernel
V2 = host_tree().version == 2


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
    assert found.disk_whole == bed.tenant.disk_bytes and found.disk_bytes is not None
    assert 0.8 * bed.tenant.disk_bytes < found.disk_bytes < bed.tenant.disk_bytes
    assert found.inodes is not None and found.inodes >= bed.tenant.disk_bytes // BYTES_PER_INODE
    assert bed.runtime.tenant_effective("e" * 12) is None


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
    limits = Limits(memory_bytes=64 * MIB, pids=32, io_bytes=25 * MIB, io_operations=600)
    spec = bed.launch(bed.spec("sleep 60", limits=limits))
    assert bed.runtime.is_held(spec.id, bed.tenant.quota)
    if not io_throttling(host_tree()):
        return  # there is nothing to change
    disk, io = (
        space.disk_of(bed.paths.state),
        Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}/{spec.id}").io,
    )
    assert io is not None
    for value in ("1000", "max" if V2 else "0"):
        file = io / ("io.max" if V2 else f"blkio.throttle.{way[1]}_device")
        file.write_text(f"{disk} {way[0]}={value}" if V2 else f"{disk} {value}")
        assert not bed.runtime.is_held(spec.id, bed.tenant.quota)
        bed.runtime.apply_quota(bed.tenant)
        assert bed.runtime.is_held(spec.id, bed.tenant.quota)


@pytest.mark.parametrize("io", [(20 * MIB, 0), (0, 500), (30 * MIB, 700), (0, 0)])
def test_a_limit_on_disks_is_the_tenants_on_v2_and_each_containers_on_v1(bed: Bed, io: tuple[int, int]) -> None:
    quota = replace(bed.tenant.quota, io_bytes=io[0], io_operations=io[1])
    tenant = replace(bed.tenant, quota=quota)
    bed.runtime.apply_quota(tenant)
    limits = Limits(memory_bytes=64 * MIB, pids=32, io_bytes=25 * MIB, io_operations=600)
    spec = bed.launch(bed.spec("sleep 60", limits=limits, tenant=tenant))
    there = io_throttling(host_tree())
    found, own = effective(bed), bed.runtime.effective(spec.id)
    asked = tuple(value or None for value in io)
    assert (found.io_bytes, found.io_operations) == (asked if V2 and there else (None, None))
    if there:
        lesser = (min(io[0] or 25 * MIB, 25 * MIB), min(io[1] or 600, 600))
        assert (own.io_bytes, own.io_operations) == lesser


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
