"""What is written for a limit. On v2 these are plain files, so this runs the same code on a v1 machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paas.errors import HostProblem, LimitRefused
from paas.linux.cgroup_limits import files_v2, io_caps, io_weights, quota_usec, shares_v1, write
from paas.linux.cgroups import WANTED, Cgroup, Tree, io_throttling, swap_accounting
from paas.specs import MIB, Effective, Limits

LIMITS = Limits(memory_bytes=64 * MIB, swap_bytes=16 * MIB, cpu_millis=250, weight=50, pids=9)


def test_units() -> None:
    assert [quota_usec(millis) for millis in (1000, 250, 1)] == [100_000, 25_000, 1000]
    assert [shares_v1(weight) for weight in (100, 1, 10_000)] == [1024, 10, 102_400]


def test_weights_on_the_scale_of_each_file() -> None:
    assert io_weights(50) == {"io.weight": "50", "io.bfq.weight": "50", "blkio.bfq.weight": "50"}
    assert set(io_weights(10_000).values()) == {"10000", "1000"}


def test_limits_on_a_disk() -> None:
    assert io_caps(replace(LIMITS, io_bytes=MIB), "8:0") == {
        "io.max": "8:0 rbps=1048576 wbps=1048576 riops=max wiops=max",
        "blkio.throttle.read_bps_device": "8:0 1048576",
        "blkio.throttle.write_bps_device": "8:0 1048576",
        "blkio.throttle.read_iops_device": "8:0 0",
        "blkio.throttle.write_iops_device": "8:0 0",
    }
    assert io_caps(replace(LIMITS, io_operations=5), "8:0")["io.max"] == "8:0 rbps=max wbps=max riops=5 wiops=5"
    assert io_caps(LIMITS, "8:0")["io.max"] == "8:0 rbps=max wbps=max riops=max wiops=max"


def test_files_of_v2() -> None:
    assert files_v2(LIMITS) == {
        "memory.max": "67108864",
        "memory.swap.max": "16777216",
        "cpu.max": "25000 100000",
        "cpu.weight": "50",
        "pids.max": "9",
    }


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A v2 tree as the kernel shows it once /berth/tenant/app is there and nothing is enabled."""
    for folder in ("", "berth", "berth/tenant", "berth/tenant/app"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "cgroup.subtree_control").touch()
    return Tree(2, tuple((name, tmp_path) for name in (*WANTED, "hugetlb")))


def test_controllers_are_enabled_from_the_root_down_to_the_parent(tree: Tree) -> None:
    root = tree.root("cpu")
    (root / "cgroup.subtree_control").write_text("cpu memory\n")
    Cgroup("/berth/tenant/app", tree).create()
    written = [root / folder / "cgroup.subtree_control" for folder in ("", "berth", "berth/tenant")]
    assert [file.read_text() for file in written] == [
        "+pids +io +cpuset",
        "+cpu +memory +pids +io +cpuset",
        "+cpu +memory +pids +io +cpuset",
    ]
    # One that has controllers for its children can hold no process.
    assert (root / "berth/tenant/app/cgroup.subtree_control").read_text() == ""


def test_each_limit_is_in_its_file(tree: Tree) -> None:
    tenant = Cgroup("/berth/tenant", tree)
    folder = tenant.folders[0]
    (folder / "memory.swap.max").write_text("max\n")
    tenant.create(LIMITS)
    assert {name: (folder / name).read_text() for name in files_v2(LIMITS)} == files_v2(LIMITS)


def test_limits_are_read_back_as_the_kernel_writes_them(tree: Tree) -> None:
    tenant = Cgroup("/berth/tenant", tree)
    folder = tenant.folders[0]
    (folder / "memory.swap.max").touch()
    (folder / "io.max").touch()
    limits = replace(LIMITS, io_bytes=MIB, io_operations=5)
    tenant.create(limits)
    tenant.limit_io(limits, "8:0")
    found = tenant.effective("8:0")
    asked = (limits.memory_bytes, limits.swap_bytes, limits.cpu_millis, limits.pids, MIB, 5)
    assert asked == (
        *(found.memory_bytes, found.swap_bytes, found.cpu_millis, found.pids),
        *(found.io_bytes, found.io_operations),
    )
    assert tenant.effective("9:0").io_bytes is None
    for name in ("memory.max", "memory.swap.max", "pids.max"):
        (folder / name).write_text("max\n")
    (folder / "cpu.max").write_text("max 100000\n")
    assert tenant.effective() == Effective()


def test_limits_of_v1_are_read_back(tmp_path: Path) -> None:
    """Its "no limit" is a number for memory, -1 for processors, a line that is not there for disks."""
    names = ("memory", "cpu", "pids", "blkio")
    for name in names:
        (tmp_path / name / "t").mkdir(parents=True)
    cgroup = Cgroup("/t", Tree(1, tuple((name, tmp_path / name) for name in names)))

    def wrote(**files: str) -> Effective:
        for name, value in files.items():
            controller, _, rest = name.partition("_")
            (tmp_path / controller / "t" / f"{controller}.{rest.replace('__', '.')}").write_text(value + "\n")
        return cgroup.effective("8:0")

    assert cgroup.effective("8:0") == Effective()
    assert wrote(memory_limit_in_bytes="9223372036854771712", pids_max="max") == Effective()
    (tmp_path / "cpu" / "t" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "t" / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup.effective("8:0") == Effective()
    (tmp_path / "cpu" / "t" / "cpu.cfs_quota_us").write_text("25000\n")
    found = wrote(
        memory_limit_in_bytes="67108864",
        memory_memsw__limit_in_bytes="83886080",
        pids_max="9",
        blkio_throttle__read_bps_device="8:0 1048576",
        blkio_throttle__write_bps_device="9:0 1\n8:0 1048576",
        blkio_throttle__read_iops_device="8:0 5",
        blkio_throttle__write_iops_device="8:0 5",
    )
    assert found == Effective(64 * MIB, 16 * MIB, 250, 9, MIB, 5)
    asked = replace(LIMITS, io_bytes=MIB, io_operations=5)
    assert cgroup.holds_io(asked, "8:0") and not cgroup.holds_io(LIMITS, "8:0")
    assert wrote(blkio_throttle__read_iops_device="9:0 5").io_operations is None, "somebody took it away"
    assert not cgroup.holds_io(asked, "8:0")


def test_without_swap_accounting_no_limit_on_swap_is_written(tree: Tree) -> None:
    tenant = Cgroup("/berth/tenant", tree)
    tenant.create(LIMITS)
    assert not (tenant.folders[0] / "memory.swap.max").exists()
    assert (tenant.folders[0] / "pids.max").read_text() == "9"


def test_less_memory_than_is_held_is_refused_and_all_else_is_set(tree: Tree) -> None:
    tenant = Cgroup("/berth/tenant", tree)
    folder = tenant.folders[0]
    (folder / "memory.current").write_text(f"{65 * MIB}\n")
    (folder / "memory.swap.max").touch()
    (folder / "io.weight").touch()
    with pytest.raises(LimitRefused) as refused:
        tenant.limit(LIMITS)
    assert refused.value.summary == "memory cannot be limited to 64 MiB: what runs holds 65 MiB"
    assert (folder / "memory.reclaim").read_text() == str(MIB)
    assert not (folder / "memory.max").exists()
    others = {name: value for name, value in files_v2(LIMITS).items() if name != "memory.max"}
    assert {name: (folder / name).read_text() for name in others} == others
    assert (folder / "io.weight").read_text() == "50"


def test_what_cannot_go_is_refused_before_anything_is_reclaimed(tree: Tree) -> None:
    """It is tried again and again: what runs would lose its cache with each try."""
    tenant = Cgroup("/berth/tenant", tree)
    folder = tenant.folders[0]
    (folder / "memory.swap.max").touch()
    (folder / "memory.current").write_text(f"{120 * MIB}\n")
    (folder / "memory.stat").write_text(f"anon {90 * MIB}\nfile {30 * MIB}\nshmem {10 * MIB}\n")
    with pytest.raises(LimitRefused, match="what runs holds 100 MiB"):
        tenant.limit(LIMITS)  # no more than 16 MiB go to swap
    assert not (folder / "memory.reclaim").exists()


def test_what_is_on_its_way_to_swap_gets_there_before_there_is_less_of_it(tree: Tree) -> None:
    tenant = Cgroup("/berth/tenant", tree)
    folder = tenant.folders[0]
    (folder / "memory.stat").write_text(f"anon 0\nswapcached {5 * MIB}\n")
    (folder / "memory.swap.max").write_text(f"{LIMITS.swap_bytes}\n")
    tenant.limit(LIMITS)
    assert not (folder / "memory.reclaim").exists(), "no less than before"
    tenant.limit(replace(LIMITS, swap_bytes=0))
    assert (folder / "memory.reclaim").read_text() == str(5 * MIB)


def test_what_cannot_be_written_is_told_without_the_hosts_folders(tree: Tree) -> None:
    file = tree.root("pids") / "gone" / "pids.max"
    with pytest.raises(HostProblem) as refused:
        write(file, 9)
    assert refused.value.summary == "the kernel did not take 9 for pids.max: No such file or directory"
    assert refused.value.__notes__ == [f"written to {file}"]


def test_disks_are_shared_and_limited_by_the_files_that_the_kernel_has(tree: Tree) -> None:
    tenant, limits = Cgroup("/berth/tenant", tree), replace(LIMITS, io_operations=5)
    folder = tenant.folders[0]
    (folder / "io.weight").write_text("default 100\n")
    (folder / "io.max").touch()
    tenant.create(limits)
    assert (folder / "io.weight").read_text() == "50"
    assert (folder / "io.max").read_text() == ""
    tenant.limit_io(limits, "8:0")
    assert (folder / "io.max").read_text() == "8:0 rbps=max wbps=max riops=5 wiops=5"
    assert tenant.holds_io(limits, "8:0") and not tenant.holds_io(LIMITS, "8:0")
    for changed in ("rbps=5 wbps=max riops=5 wiops=5", "rbps=max wbps=max riops=9 wiops=5"):
        (folder / "io.max").write_text(f"7:0 rbps=1 wbps=1 riops=1 wiops=1\n8:0 {changed}\n")
        assert not tenant.holds_io(limits, "8:0")
    (folder / "io.max").write_text("")
    assert tenant.holds_io(LIMITS, "8:0") and not tenant.holds_io(limits, "8:0")
    assert sorted(file.name for file in folder.glob("*io.*")) == ["io.max", "io.weight"]


def test_without_a_controller_disks_are_left_alone(tree: Tree) -> None:
    without = Tree(2, tuple(pair for pair in tree.roots if pair[0] != "io"))
    tenant = Cgroup("/berth/tenant", without)
    (tenant.folders[0] / "io.weight").write_text("default 100\n")
    tenant.limit_io(LIMITS, "8:0")
    assert (tenant.folders[0] / "io.weight").read_text() == "default 100\n"


def test_throttling_on_v2(tree: Tree) -> None:
    """io.max is beside io.stat, and the root has only the latter."""
    (tree.root("io") / "io.stat").touch()
    assert io_throttling(tree)
    (tree.root("io") / "berth" / "io.stat").touch()
    assert not io_throttling(tree)
    (tree.root("io") / "berth" / "io.max").touch()
    assert io_throttling(tree)


def test_throttling_on_v1(tmp_path: Path) -> None:
    tree = Tree(1, (("blkio", tmp_path),))
    assert not io_throttling(tree) and not io_throttling(Tree(1, ()))
    (tmp_path / "blkio.throttle.read_bps_device").touch()
    assert io_throttling(tree)


def test_swap_accounting_on_v2(tree: Tree) -> None:
    """memory.swap.max is beside memory.max, and the root has neither."""
    assert swap_accounting(tree)
    slice_ = tree.root("memory") / "system.slice"
    slice_.mkdir()
    (slice_ / "memory.max").touch()
    assert not swap_accounting(tree)
    (slice_ / "memory.swap.max").touch()
    assert swap_accounting(tree)
