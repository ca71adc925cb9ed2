"""Each limit, run into from inside, and a neighbour who feels nothing of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from paas.linux import mounts
from paas.linux.cgroup_limits import read_field, read_int
from paas.linux.cgroups import Cgroup, host_tree
from paas.runtime.space import disk_of
from paas.specs import MIB, ContainerSpec, Limits, Reading
from tests.linux.test_cgroups import disk_weights
from tests.runtime.conftest import CGROUP_ROOT, Bed

pytestmark = pytest.mark.kernel

MEMORY_BOMB = "awk 'BEGIN { s = \"x\"; while (1) s = s s }'"
WAYS = ("read", "write")
FORKS = "for i in $(seq 60); do sleep 20 & done 2>&1; wait"


def container(spec: ContainerSpec) -> Cgroup:
    return Cgroup(f"{CGROUP_ROOT}/{spec.tenant.id}/{spec.id}")


def reading(bed: Bed, spec: ContainerSpec) -> Reading:
    return bed.runtime.reading(spec.tenant.id, spec.app_id, spec.id)


def holding(mib: int) -> str:
    """A program that takes so much, says so, and keeps it."""
    text = f'while (length(s) < {mib * MIB}) s = s s; print "has it"; fflush(); system("sleep 60")'
    return f"awk 'BEGIN {{ s = \"x\"; {text} }}'"


def test_processes(bed: Bed) -> None:
    spec = bed.spec(FORKS, limits=Limits(memory_bytes=64 * MIB, swap_bytes=0, pids=16))
    bed.launch(spec)
    bed.until(lambda: any("Resource temporarily unavailable" in line for line in bed.output(spec)))
    assert bed.runtime.usage(spec.id).pids <= 16
    assert bed.says("echo fine", tenant=bed.neighbour) == ["fine"]


def test_processes_of_a_whole_tenant(bed: Bed) -> None:
    """Many containers, each within its limit, together meet the quota."""
    quota = replace(bed.tenant.quota, pids=30)
    bed.runtime.prepare_tenant(replace(bed.tenant, quota=quota))
    try:
        specs = [bed.launch(bed.spec(FORKS, limits=Limits(swap_bytes=0, pids=25))) for _ in range(2)]
        bed.until(lambda: all(any("unavailable" in line for line in bed.output(s)) for s in specs))
        assert bed.runtime.tenant_usage(bed.tenant.id).pids <= 30
    finally:
        bed.runtime.prepare_tenant(bed.tenant)


def test_who_goes_first_when_memory_runs_out_for_all(bed: Bed) -> None:
    """A build's step before apps that hold more: all but one that holds half of what there is."""
    bed.runtime.prepare_tenant(replace(bed.tenant, quota=replace(bed.tenant.quota, memory_bytes=128 * MIB)))
    try:
        limits = Limits(memory_bytes=256 * MIB, swap_bytes=0)
        apps = [bed.spec(holding(16), limits=limits) for _ in range(5)]
        step = replace(bed.spec(holding(4), limits=limits), goes_first=True)
        for spec in (*apps, step):
            bed.launch(spec)
        bed.until(lambda: all(bed.output(spec) == ["has it"] for spec in (*apps, step)))
        bed.launch(bed.spec(MEMORY_BOMB, limits=limits))
        bed.until(lambda: reading(bed, step).oom_kills > 0)  # of the tenant's limit, and counted where it was
        assert [reading(bed, app).oom_kills for app in apps] == [0] * 5
    finally:
        bed.runtime.prepare_tenant(bed.tenant)


def test_memory(bed: Bed) -> None:
    neighbour = bed.launch(bed.spec("sleep 60", tenant=bed.neighbour))
    state = bed.finish(bed.spec(MEMORY_BOMB))
    assert (state.oom_killed, state.exit_signal) == (True, 9)
    assert bed.runtime.state(neighbour.id).status == "running"


STUFF = """
import socket
kept, sent = [], 0
for number in range(200):
    door = socket.create_server(("127.0.0.1", 0))
    one = socket.create_connection(door.getsockname())
    kept += [door, one, door.accept()[0]]
    one.settimeout(0.05 if number < 3 else 0.01)
    try:
        while True:
            sent += one.send(bytes(1 << 16))
    except OSError:
        pass
print(sent >> 20)
"""


def test_what_nobody_reads_from_a_socket_counts_too(bed: Bed) -> None:
    """Each of 200 connections would hold several MiB. On v2 that is memory as any other: it is killed."""
    said = bed.python(STUFF, limits=Limits(memory_bytes=64 * MIB, pids=32))
    assert int(said[0]) < 64 if said else host_tree().version == 2


def test_an_ordinary_failure_is_no_oom(bed: Bed) -> None:
    assert not bed.finish(bed.spec("exit 1")).oom_killed


def test_a_child_out_of_memory_is_counted_while_its_parent_goes_on(bed: Bed) -> None:
    spec = bed.launch(bed.spec(f"{MEMORY_BOMB}; echo survived; sleep 60"))
    bed.until(lambda: "survived" in bed.output(spec))
    assert reading(bed, spec).oom_kills >= 1
    assert not bed.runtime.state(spec.id).oom_killed


def test_shared_memory_is_bounded(bed: Bed) -> None:
    lines = bed.says("dd if=/dev/zero of=/dev/shm/x bs=1M count=100 2>&1")
    assert any("No space left on device" in line for line in lines)


def test_cpu(bed: Bed) -> None:
    spec = bed.spec("while :; do :; done", limits=Limits(memory_bytes=64 * MIB, swap_bytes=0, cpu_millis=200))
    bed.launch(spec)
    cpu = container(spec).folder("cpu")
    if host_tree().version == 2:
        assert (cpu / "cpu.max").read_text() == "20000 100000\n"
    else:
        assert [read_int(cpu / f"cpu.cfs_{name}_us") for name in ("quota", "period")] == [20_000, 100_000]
    bed.until(lambda: read_field(cpu / "cpu.stat", "nr_throttled") > 2)


def test_disk_full_is_the_tenants_alone(bed: Bed) -> None:
    full = "dd if=/dev/zero of=/tmp/big bs=1M count=200 2>&1; sleep 60"
    spec = bed.launch(bed.spec(full))
    bed.until(lambda: any("No space left on device" in line for line in bed.output(spec)))
    write = "dd if=/dev/zero of=/tmp/some bs=1M count=8 2>/dev/null && echo written"
    assert bed.says(write, tenant=bed.neighbour) == ["written"]
    bed.runtime.delete(spec.id)
    assert bed.says(write) == ["written"]


READS_AND_WRITES = """
dd if=/bin/busybox of=/dev/null bs=16k iflag=direct 2>/dev/null
dd if=/dev/zero of=/tmp/x bs=64k count=16 conv=fsync 2>/dev/null
dd if=/tmp/x of=/dev/null bs=64k iflag=direct 2>/dev/null
echo done; sleep 60
"""


def test_use_of_the_disk(bed: Bed) -> None:
    """The kernel counts all that a container has of the disk, its image's and its own, where the limit is."""
    disk = disk_of(bed.paths.state)
    assert disk is not None, "TMPDIR must be on a disk for this"
    limits = Limits(64 * MIB, 0, 1000, 70, 32, io_bytes=8 * MIB, io_operations=300)
    spec = bed.launch(bed.spec(READS_AND_WRITES, limits=limits))
    cgroup = container(spec)
    assert io_limits(cgroup, disk) == {"rbps": 8 * MIB, "wbps": 8 * MIB, "riops": 300, "wiops": 300}
    assert disk_weights(cgroup) <= {70}
    assert disk_weights(Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}")) <= {bed.tenant.quota.weight}
    bed.until(lambda: "done" in bed.output(spec))
    read, written = io_bytes(cgroup, disk)
    assert read >= MIB + Path("/bin/busybox").stat().st_size
    assert written >= MIB


def test_no_limit_on_the_disk(bed: Bed) -> None:
    spec = bed.launch(bed.spec("sleep 60"))
    disk = disk_of(bed.paths.state)
    assert disk is not None and io_limits(container(spec), disk) == {}


def io_limits(cgroup: Cgroup, disk: str) -> dict[str, int]:
    """In v2's words."""
    assert cgroup.io is not None
    if cgroup.tree.version == 2:
        return _fields(cgroup.io / "io.max", disk)
    files = {
        f"{way[0]}{kind}": f"blkio.throttle.{way}_{kind}_device" for way in WAYS for kind in ("bps", "iops")
    }
    lines = {name: (cgroup.io / file).read_text().split() for name, file in files.items()}
    return {name: int(line[1]) for name, line in lines.items() if line and line[0] == disk}


def io_bytes(cgroup: Cgroup, disk: str) -> tuple[int, int]:
    """Read and written."""
    assert cgroup.io is not None
    if cgroup.tree.version == 2:
        fields = _fields(cgroup.io / "io.stat", disk)
        return fields["rbytes"], fields["wbytes"]
    text = (cgroup.io / "blkio.throttle.io_service_bytes").read_text()
    return int(text.split(f"{disk} Read ")[1].split()[0]), int(text.split(f"{disk} Write ")[1].split()[0])


def _fields(file: Path, disk: str) -> dict[str, int]:
    """Of the disk's line in a nested keyed file (cgroup-v2.rst)."""
    lines = [line.split()[1:] for line in file.read_text().splitlines() if line.startswith(f"{disk} ")]
    return {name: int(value) for line in lines for name, value in (pair.split("=") for pair in line)}


def test_inodes_full_is_the_tenants_alone(bed: Bed) -> None:
    spec = bed.launch(bed.spec("cd /tmp; for i in $(seq 60000); do : > $i || exec sleep 60; done 2>&1"))
    bed.until(lambda: any("No space left on device" in line for line in bed.output(spec)), 30)
    assert bed.says("touch /tmp/x && echo touched", tenant=bed.neighbour) == ["touched"]


def test_a_sparse_giant_is_refused_or_costs_nothing(bed: Bed) -> None:
    bed.says("busybox truncate -s 100G /tmp/sparse")
    assert (bed.paths.tenants / bed.tenant.id / "disk.img").stat().st_blocks * 512 < bed.tenant.disk_bytes * 1.1


def test_the_quota_is_on_the_slice_and_can_change(bed: Bed) -> None:
    slice_ = Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}")
    running = bed.launch(bed.spec("sleep 60", limits=Limits(memory_bytes=64 * MIB, cpu_millis=2000)))
    smaller = replace(bed.tenant, quota=Limits(96 * MIB, 32 * MIB, 500, 50, 77))
    bed.runtime.prepare_tenant(smaller)
    try:
        name = {1: "memory.limit_in_bytes", 2: "memory.max"}[host_tree().version]
        assert int((slice_.folder("memory") / name).read_text()) == 96 * MIB
        assert (slice_.folder("pids") / "pids.max").read_text() == "77\n"
        assert bed.runtime.state(running.id).status == "running"
    finally:
        bed.runtime.prepare_tenant(bed.tenant)
    assert int((slice_.folder("memory") / name).read_text()) == bed.tenant.quota.memory_bytes


def test_a_disk_grows_at_the_latest_when_mounted_again(bed: Bed) -> None:
    tenant = replace(bed.tenant, id="7" * 12)
    bed.runtime.prepare_tenant(tenant)
    larger = replace(tenant, disk_bytes=tenant.disk_bytes + 32 * MIB)
    bed.runtime.prepare_tenant(larger)
    for views in (bed.paths.layer_views, bed.paths.disk_views, bed.paths.disks):
        mounts.unmount(views / tenant.id)
    bed.runtime.prepare_tenant(larger)
    size = os.statvfs(bed.paths.disks / tenant.id)
    bed.runtime.remove_tenant(tenant.id)
    assert size.f_blocks * size.f_frsize > tenant.disk_bytes + 16 * MIB


def test_usage(bed: Bed) -> None:
    spec = bed.launch(bed.spec("dd if=/dev/zero of=/dev/shm/x bs=1M count=8 2>/dev/null; echo up; sleep 60"))
    bed.until(lambda: "up" in bed.output(spec))
    usage = bed.runtime.usage(spec.id)
    assert 8 * MIB <= usage.memory_bytes < 24 * MIB
    assert usage.cpu_usec > 0
    assert usage.pids == 2  # the init, and the shell that became sleep
    assert usage.oom_kills == 0
    assert bed.runtime.tenant_usage(bed.tenant.id).memory_bytes >= usage.memory_bytes
