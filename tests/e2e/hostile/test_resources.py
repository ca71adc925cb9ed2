"""All of something, taken by a tenant: it meets its own limits, and its neighbour stays served."""

from __future__ import annotations

import json

import pytest

from paas.runtime.bundle import PTYS_MAX, SIGPENDING
from tests.e2e.hostile.conftest import Attack
from tests.e2e.hostile.tenant import Hostile
from tests.e2e.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]
MIB = 1024 * 1024
MEMORY, DISK, CORES = 128, 64, 1.0  # MiB of one container and of the tenant's disk; cores of one container
ONE_OF_EACH = """
import ctypes, os
os.openpty()
libc = ctypes.CDLL(None)
assert libc.inotify_init1(0) > 0
assert libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p())) == 0
print("has them")
"""
OOM = "ran out of memory and was killed"


def test_fork_bomb(mallory: Hostile, attack: Attack, seconds: float) -> None:
    with attack("fork bomb"):
        assert mallory.says("resources", "fork_bomb", str(seconds)) == {"refused": "EAGAIN"}


def test_thread_bomb(mallory: Hostile, attack: Attack, seconds: float) -> None:
    with attack("thread bomb"):
        told = mallory.says("resources", "thread_bomb", str(seconds))
    assert told["made"] < 256 and told["refused"] == ["can't start new thread"]


def test_memory_bomb(mallory: Hostile, attack: Attack) -> None:
    with attack("memory bomb"):
        ended = mallory.ended(mallory.start("python3", "resources.py", "memory_bomb", "0"))
    assert (ended["status"], ended["exit_code"], ended["reason"]) == ("exited", 137, OOM)


def test_swap_evasion(mallory: Hostile, attack: Attack, seconds: float) -> None:
    """As much swap as memory, and no more of both than that, however many share it."""
    with attack("swap evasion"):
        told = mallory.says("resources", "swap_evasion", str(seconds))
    assert told["most"] <= 2 * MEMORY
    assert set(told["ended"]) == {"SIGKILL"}


def test_files_in_memory(mallory: Hostile, attack: Attack) -> None:
    with attack("files in memory"):
        told = mallory.says("resources", "memory_files", "0")
    assert told["/dev/shm"] == [MEMORY * MIB // 2, "ENOSPC"]
    size, refused = told["/dev"]
    assert size <= 64 * 1024 and refused == "ENOSPC"
    assert (told["memfd"], told["sysv"]) == ("SIGKILL", "SIGKILL")


def test_disk_fill(mallory: Hostile, attack: Attack) -> None:
    with attack("disk fill"):
        told = mallory.says("resources", "disk_fill", "0")
    assert told["refused"] == "ENOSPC" and told["written"] < DISK * MIB


def test_inode_fill(mallory: Hostile, attack: Attack) -> None:
    with attack("inode fill"):
        assert mallory.says("resources", "inode_fill", "0")["refused"] == "ENOSPC"


def test_sparse_file(mallory: Hostile, attack: Attack) -> None:
    with attack("100 GB sparse file"):
        told = mallory.says("resources", "sparse_file", "0")
    assert (told["size"], told["refused"]) == (100_000_000_000, "ENOSPC")
    assert told["written"] < DISK * MIB


def test_cpu_spin(mallory: Hostile, attack: Attack, seconds: float) -> None:
    """In as many containers as a tenant may start, each with more processes than there are cores.

    Any process may be the first of those without privileges at the disk: it is so among its own tenant's.
    """
    mallory.rests()
    with attack("cpu spin on every core"):
        runs = [mallory.start("python3", "resources.py", "cpu_spin", str(seconds)) for _ in range(3)]
        told = mallory.says("resources", "cpu_spin", str(seconds))
        assert {mallory.ended(run)["exit_code"] for run in runs} == {0}
    assert (told["nice"], told["fifo"], told["disk, realtime"]) == ("EACCES", "EPERM", "EPERM")
    assert told["disk, first of the others"] == "done"
    assert told["cores"] < CORES * 1.2


def test_fsync_storm(mallory: Hostile, attack: Attack, seconds: float) -> None:
    """With sync(2) among them, which no limit on a tenant's own files would meet."""
    with attack("fsync and sync storm"):
        told = mallory.says("resources", "fsync_storm", str(seconds))
    assert all(told["done"])


def test_descriptors(mallory: Hostile, attack: Attack) -> None:
    with attack("descriptors"):
        told = mallory.says("resources", "descriptors", "0")
    assert told["refused"] == "EMFILE" and told["opened"] < told["limit"]


def test_what_the_kernel_counts_for_all(
    mallory: Hostile, attack: Attack, seconds: float, platform: Platform
) -> None:
    """Somebody else still gets of each while all that a tenant can have of it is taken."""
    with attack("ptys, aio, inotify, timers"):
        run = mallory.start("python3", "resources.py", "shared_counts", str(seconds + 1))
        mallory.says_something(run)
        platform.cli("login", platform.dashboard, "--token", platform.token)
        done = platform.cli("run", "demo/hello", "--", "python3", "-c", ONE_OF_EACH, check=False)
        ended = mallory.ended(run)
    told = json.loads(mallory.lines(run)[-1]["text"])
    assert (done.returncode, done.stdout, ended["exit_code"]) == (0, "has them\n", 0), done.stderr
    assert (told["ptys"], told["aio"]) == ([PTYS_MAX, "ENOSPC"], [0, "ENOSYS"])
    assert told["inotify"][1] == "EMFILE"
    timers, refused = told["timers"]  # each counts as a signal that waits
    assert 0 < timers <= SIGPENDING and refused == "EAGAIN"
