from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.linux import cgroups
from paas.linux.cgroups import Cgroup, detect, host_tree, quota_usec, shares_v1
from paas.specs import MIB, Limits

ROOT = f"/brl{os.getpid()}"
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "24 23 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
    "25 24 0:23 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    "26 24 0:24 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "27 24 0:25 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    "28 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
)


def test_detect_v2() -> None:
    tree = detect(V2, "cpuset cpu io memory pids\n")
    assert (tree.version, tree.folders) == (2, (Path("/sys/fs/cgroup"),))
    assert tree.controllers == {"cpuset", "cpu", "io", "memory", "pids"}


def test_detect_v1_with_joined_controllers_and_v2_beside() -> None:
    tree = detect(V1, "")
    assert tree.version == 1
    assert tree.root("cpu") == tree.root("cpuacct") == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert tree.root("name=systemd") == Path("/sys/fs/cgroup/systemd")
    assert len(tree.folders) == 3


def test_units() -> None:
    assert [quota_usec(millis) for millis in (1000, 250, 1)] == [100_000, 25_000, 1000]
    assert [shares_v1(weight) for weight in (100, 1, 10_000)] == [1024, 10, 102_400]


@pytest.mark.parametrize("name", ["relative", "/a/../b"])
def test_names_stay_below_the_root(name: str) -> None:
    with pytest.raises(ValueError, match="not a cgroup's name"):
        Cgroup(name)


@pytest.fixture
def top() -> Iterator[Cgroup]:
    cgroup = Cgroup(ROOT)
    yield cgroup
    cgroup.kill()
    cgroup.remove()


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


@pytest.mark.kernel
def test_limits_can_go_up_and_down(top: Cgroup) -> None:
    for limits in (Limits(), Limits(64 * MIB, 0, 200, 10, 5), Limits(1024 * MIB, 2048 * MIB, 4000, 500, 999)):
        top.create(limits)
        names = (
            ("memory.max", "pids.max") if host_tree().version == 2 else ("memory.limit_in_bytes", "pids.max")
        )
        assert int((top.folder("memory") / names[0]).read_text()) == limits.memory_bytes
        assert int((top.folder("pids") / names[1]).read_text()) == limits.pids


@pytest.mark.kernel
def test_a_child_that_was_removed_just_now_holds_no_limit_up(top: Cgroup) -> None:
    large, small = Limits(64 * MIB, 0, 2000, 100, 9), Limits(64 * MIB, 0, 500, 100, 9)
    for _ in range(3):
        top.create(large)
        child = Cgroup(f"{ROOT}/child")
        child.create(large)
        child.remove()
        top.limit(small)


@pytest.mark.kernel
def test_processes_are_found_below_and_killed(top: Cgroup, sleeper: int) -> None:
    leaf = Cgroup(f"{ROOT}/a/b")
    leaf.create(Limits())
    leaf.attach(sleeper)
    assert top.pids() == [sleeper]
    usage = leaf.usage()
    assert (usage.pids, usage.oom_kills) == (1, 0)
    assert usage.memory_bytes < 16 * MIB
    _reap_in_background(sleeper)
    top.kill()
    assert top.pids() == []
    top.remove()
    assert not top.exists()


@pytest.mark.kernel
def test_a_frozen_process_dies_too(top: Cgroup, sleeper: int) -> None:
    top.create(Limits())
    if host_tree().version == 1:
        top.folder("freezer").mkdir()
    top.attach(sleeper)
    top.freeze()
    _reap_in_background(sleeper)
    top.kill(timeout=5)


@pytest.mark.kernel
def test_what_is_gone_is_empty_and_can_be_removed_again() -> None:
    gone = Cgroup(f"{ROOT}/never")
    gone.kill()
    gone.remove()
    gone.remove_if_empty()
    assert gone.pids() == []
    assert gone.usage().memory_bytes == 0
    assert not gone.exists()


def _reap_in_background(pid: int) -> None:
    """A zombie stays in its cgroup until its parent, here this process, has waited for it."""
    from threading import Thread  # noqa: PLC0415

    Thread(target=os.waitpid, args=(pid, 0), daemon=True).start()


@pytest.mark.kernel
def test_to_expect_moves_moves_nobody() -> None:
    before = Path("/proc/self/cgroup").read_text()
    cgroups._move_nowhere()
    assert Path("/proc/self/cgroup").read_text() == before


@pytest.mark.kernel
def test_a_process_that_has_ended_need_not_move(top: Cgroup) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    top.attach(process.pid)
    assert top.pids() == []
