"""What a tenant's root asks the kernel for: whole classes, each compared with what is meant to be allowed."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path

import pyseccomp
import pytest

from tests.e2e.hostile.conftest import Attack
from tests.e2e.hostile.tenant import Hostile

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]
WRITTEN = Path(__file__).with_name("allowed_system_calls.txt")
REFUSED = ("EPERM", "ENOSYS")
# uretprobe and uprobe of x86-64: since Linux 6.14 no filter sees them, and they end whoever calls them
# from anywhere but the kernel's own trampoline.
BESIDE_SECCOMP = {"335", "336", "uretprobe", "uprobe"}
LAST_NUMBER = 520  # the kernel of 2026 ends at 470
NODES = {"full", "null", "ptmx", "pts/ptmx", "random", "stdin", "tty", "urandom", "zero"}
# What a process may write of itself (proc_pid_*(5)).
OWN = {
    "autogroup", "clear_refs", "comm", "coredump_filter", "gid_map", "loginuid", "make-it-fail", "mem",
    "oom_adj", "oom_score_adj", "projid_map", "sched", "setgroups", "timens_offsets",
    "timerslack_ns", "uid_map",
}  # fmt: skip
SECRET = (
    "/proc/kcore", "/proc/keys", "/proc/kmsg", "/proc/timer_list", "/proc/sched_debug",
    "/proc/latency_stats", "/proc/acpi/wakeup", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup",
    "/proc/vmallocinfo", "/proc/slabinfo", "/proc/pagetypeinfo", "/sys/firmware/dmi/tables/DMI",
    "/dev/kmsg", "/dev/mem", "/dev/kvm", "/dev/fuse", "/dev/net/tun",
)  # fmt: skip


def name_of(number: int) -> str:
    """A call that this machine's libseccomp has not heard of keeps its number."""
    with suppress(ValueError):
        return str(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number), "ascii")
    return str(number)


def test_every_system_call(mallory: Hostile, attack: Attack) -> None:
    """Each number that there is, and fifty more: what is let through is what the list beside this says."""
    with attack("every system call"):
        told = mallory.says("kernel", "system_calls", json.dumps(list(range(LAST_NUMBER))))
    let_through = {name_of(int(number)) for number, said in told.items() if said not in REFUSED}
    let_through -= BESIDE_SECCOMP
    here, written = set(map(name_of, range(LAST_NUMBER))), set(WRITTEN.read_text().split())
    assert sorted(let_through - written) == []
    assert sorted(written & here - let_through) == []


def test_system_calls_of_other_architectures(mallory: Hostile, attack: Attack) -> None:
    with attack("x32 and i386 calls"):
        assert mallory.says("kernel", "foreign_calls") == {"x32": "SIGSYS", "i386": "SIGSYS"}


def test_every_family_of_sockets(mallory: Hostile, attack: Attack) -> None:
    """Unix, IPv4 and IPv6 without raw ones, and of netlink routes alone."""
    with attack("every socket family"):
        told = mallory.says("kernel", "socket_families")
    assert {family for family, _ in told["opened"]} == {1, 2, 10, 16}
    assert {kind for family, kind in told["opened"] if family in (2, 10)} == {1, 2}
    assert told["netlink"] == [0]


def test_mounts_and_namespaces(mallory: Hostile, attack: Attack) -> None:
    with attack("mounts, namespaces"):
        told = mallory.says("kernel", "mounts_and_namespaces")
    assert set(told.values()) == {"EPERM"}, told


def test_devices(mallory: Hostile, attack: Attack) -> None:
    with attack("mknod"):
        told = mallory.says("kernel", "devices")
    assert {name.removeprefix("/dev/") for name in told.pop("there")} <= NODES
    assert set(told.values()) == {"EPERM"}, told


def test_processes_outside(mallory: Hostile, attack: Attack) -> None:
    """Nobody is seen, so there is nobody to trace, read or kill."""
    with attack("ptrace, mem, kill -1"):
        told = mallory.says("kernel", "outside_processes")
    assert told == {"seen": [], "ptrace": ["ESRCH"], "memory": ["ENOENT"], "kill": "ESRCH", "parent": 1}


def test_every_file_of_proc_and_sys(mallory: Hostile, attack: Attack) -> None:
    with attack("all of /proc, /sys"):
        told = mallory.says("kernel", "writable_files")
    assert (told["opened"], told["made"]) == ([], [])
    assert set(told["own"]) <= OWN


def test_what_the_kernel_keeps_to_itself(mallory: Hostile, attack: Attack) -> None:
    with attack("kcore, keys, dmesg"):
        told = mallory.says("kernel", "secrets", json.dumps(SECRET))
    assert told.pop("syslog") == "EPERM"
    assert told.pop("kernel addresses") == 0
    assert told.pop("release_agent") == []
    assert {path: said for path, said in told.items() if said not in (0, "ENOENT", "EACCES", "EPERM")} == {}


def test_setuid_and_file_capabilities(mallory: Hostile, attack: Attack) -> None:
    """A program that is both gives whoever runs it nothing: not where it was made, not in another container
    that has the volume; and on the host nobody can run one."""
    nothing = "1000 0000000000000000"
    with attack("setuid, capabilities"):
        here = mallory.says("kernel", "privileged_program_here", "/attack/gain")
        left = mallory.says("kernel", "privileged_program", "/store/gain")
        elsewhere = mallory.says("kernel", "run_by_another", "/store/gain")
    assert here == {"mode": "0o106755", "capabilities": 20, "said": nothing}
    assert (left["mode"], elsewhere["said"]) == ("0o106755", nothing)
    run = mallory.platform.environment["BERTH_RUN"]
    argv = ["nsenter", f"--mount={run}/ns/mount", "cat", "/proc/self/mountinfo"]
    mounted = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    disks = [line for line in mounted.splitlines() if mallory.id in line and " nsfs " not in line]
    assert disks and all("nosuid" in line and "nodev" in line for line in disks)
