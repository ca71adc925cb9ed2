from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from threading import Thread

import pytest

from paas.errors import LimitRefused
from paas.linux import cgroups, syscalls
from paas.linux.cgroup_limits import TCP_V1, read_field, read_int
from paas.linux.cgroups import Cgroup, Tree, detect, host_tree, swap_accounting
from paas.linux.namespaces import enter_private_mount_namespace
from paas.specs import MIB, Limits

ROOT = f"/brl{os.getpid()}"
HOLDS = "import sys; sys.stdin.readline(); held = b'x' * (32 << 20); print(flush=True); sys.stdin.read()"
# Connections to itself, full of what nobody reads.
CONNECTED = """
import socket, sys
sys.stdin.readline()
server, held = socket.create_server(("127.0.0.1", 0)), []
for _ in range(16):
    caller = socket.create_connection(server.getsockname())
    held += [caller, server.accept()[0]]
    caller.setblocking(False)
    try:
        while True:
            caller.send(bytes(1 << 16))
    except BlockingIOError:
        pass
print(flush=True)
sys.stdin.read()
"""
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
        assert limited_memory(top) == limits.memory_bytes
        assert int((top.folder("pids") / "pids.max").read_text()) == limits.pids
        assert disk_weights(top) <= {limits.weight}


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
def test_one_is_preferred_to_its_siblings(top: Cgroup) -> None:
    top.create(Limits())
    top.prefer(1000, 64 * MIB)
    name, share = {1: ("cpu.shares", 10_240), 2: ("cpu.weight", 1000)}[top.tree.version]
    assert int((top.folder("cpu") / name).read_text()) == share
    assert disk_weights(top) <= {1000}
    if top.tree.version == 2:
        assert int((top.folder("memory") / "memory.low").read_text()) == 64 * MIB


def disk_weights(cgroup: Cgroup) -> set[int]:
    """As this kernel has them: of BFQ, of v2's cost model ("default 50"), of both or none."""
    files = cgroup.io.glob("*io.*weight") if cgroup.io else ()
    return {int(file.read_text().split()[-1]) for file in files}


def limited_memory(cgroup: Cgroup) -> int:
    name = {1: "memory.limit_in_bytes", 2: "memory.max"}[cgroup.tree.version]
    return int((cgroup.folder("memory") / name).read_text())


@pytest.mark.kernel
def test_memory_that_is_held_is_not_taken_away(top: Cgroup) -> None:
    """v2 would kill for a lower limit."""
    top.create(Limits(128 * MIB, 0))
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdin=PIPE, stdout=PIPE, bufsize=0) as process:
        assert process.stdin and process.stdout
        top.attach(process.pid)
        process.stdin.write(b"\n")
        process.stdout.readline()
        with pytest.raises(LimitRefused, match=r"cannot be limited to 16 MiB: what runs holds [3-5]\d MiB"):
            top.limit(Limits(16 * MIB, 0, 300, 50, 25))
        assert (process.poll(), top.oom_kills()) == (None, 0)
        found = top.effective()
        assert (found.memory_bytes, found.swap_bytes or 0) == (128 * MIB, 0)
        assert (found.cpu_millis, found.pids) == (300, 25), "all others are set"
        process.kill()
    top.limit(Limits(16 * MIB, 0, 300, 50, 25))
    assert limited_memory(top) == 16 * MIB


@pytest.mark.kernel
def test_the_one_that_is_refused_is_named_and_nothing_goes_to_swap_for_it(top: Cgroup) -> None:
    if top.tree.version == 2 or not swap_accounting(top.tree):
        return  # there is no limit on both together
    top.create(Limits(128 * MIB, 0))
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdin=PIPE, stdout=PIPE, bufsize=0) as process:
        assert process.stdin and process.stdout
        top.attach(process.pid)
        process.stdin.write(b"\n")
        process.stdout.readline()
        is_met = (
            read_field(Path("/proc/meminfo"), "SwapFree:") > 64 * 1024
        )  # the limit on memory alone, by swap
        what = (
            "memory and swap together cannot be limited to 24" if is_met else "memory cannot be limited to 16"
        )
        with pytest.raises(LimitRefused, match=f"{what} MiB"):
            top.limit(Limits(16 * MIB, 8 * MIB))
        assert read_field(top.folder("memory") / "memory.stat", "total_swap") == 0
        assert (top.effective().memory_bytes, top.effective().swap_bytes) == (128 * MIB, 0)
        process.kill()


@pytest.mark.kernel
def test_what_connections_hold_keeps_no_other_limit_from_being_set(top: Cgroup) -> None:
    if top.tree.version == 2:
        return  # there it is memory as any other
    large, small = Limits(256 * MIB, 0), Limits(128 * MIB, 0, 300, 50, 25)
    top.create(large)
    with subprocess.Popen([sys.executable, "-c", CONNECTED], stdin=PIPE, stdout=PIPE, bufsize=0) as process:
        assert process.stdin and process.stdout
        top.attach(process.pid)
        process.stdin.write(b"\n")
        process.stdout.readline()
        used = read_int(top.folder("memory") / "memory.kmem.tcp.usage_in_bytes")
        assert used > 32 * MIB, "more than a quarter of the lower limit"
        with pytest.raises(LimitRefused, match="TCP's buffers cannot be limited to 32 MiB: what runs holds"):
            top.limit(small)
        found = top.effective()
        assert (found.memory_bytes, found.cpu_millis, found.pids) == (128 * MIB, 300, 25)
        top.limit(large)  # what is in force already, however much is held
        process.kill()
    top.limit(small)
    assert read_int(top.folder("memory") / TCP_V1) == 32 * MIB


@pytest.mark.kernel
def test_more_processors_than_its_parent_has_are_refused_and_all_else_is_set(top: Cgroup) -> None:
    if top.tree.version == 2:
        return  # it takes any
    top.create(Limits(128 * MIB, 0, 200))
    child = Cgroup(f"{ROOT}/child")
    child.create(Limits(64 * MIB, 0, 100))
    with pytest.raises(LimitRefused, match=r"processors cannot be limited to 0.5: what it is part of has less"):
        child.limit(Limits(32 * MIB, 0, 500, pids=20))
    found = child.effective()
    assert (found.memory_bytes, found.cpu_millis, found.pids) == (32 * MIB, 100, 20)


@pytest.mark.kernel
def test_file_cache_makes_room(top: Cgroup) -> None:
    top.create(Limits(128 * MIB, 0))
    # Not /tmp, which may be in memory; synced, for only clean pages can go at once.
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        command = f"read go; exec dd if=/dev/zero of={file.name} bs=1M count=64 conv=fsync status=none"
        with subprocess.Popen(["sh", "-c", command], stdin=PIPE, bufsize=0) as process:
            assert process.stdin
            top.attach(process.pid)
            process.stdin.write(b"\n")
            assert process.wait() == 0
        top.limit(Limits(16 * MIB, 0))
    assert limited_memory(top) == 16 * MIB


@pytest.mark.kernel
def test_a_v2_tree_beside_v1_holds_and_kills_as_the_only_one_does(sleeper: int, tmp_path: Path) -> None:
    """The host's v2 tree, mounted once more: so a change for v1 is not only tried on v1."""
    enter_private_mount_namespace()
    syscalls.mount("none", tmp_path, "cgroup2")
    cgroup = Cgroup(f"{ROOT}v2/leaf", Tree(2, (("none", tmp_path),)))
    try:
        cgroup.create()
        cgroup.attach(sleeper)
        assert cgroup.pids() == [sleeper]
        cgroup.freeze()
        assert "frozen 1" in (cgroup.folders[0] / "cgroup.events").read_text()
        _reap_in_background(sleeper)
        cgroup.kill()
    finally:
        top = Cgroup(f"{ROOT}v2", cgroup.tree)
        top.kill()
        top.remove()
        syscalls.umount2(tmp_path)
    assert not cgroup.exists()


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
def test_all_below_it_are_held_together(top: Cgroup) -> None:
    assert not top.hold(64 * MIB), "nothing is there yet"
    Cgroup(f"{ROOT}/a/b").create(Limits(memory_bytes=512 * MIB))
    assert top.hold(64 * MIB + 5) and not top.hold(64 * MIB)
    assert top.effective().memory_bytes == 64 * MIB
    assert Cgroup(f"{ROOT}/a/b").effective().memory_bytes == 512 * MIB


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

    def reap() -> None:
        with suppress(ChildProcessError):  # the fixture did
            os.waitpid(pid, 0)

    Thread(target=reap, daemon=True).start()


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
