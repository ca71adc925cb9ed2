"""What a container's process is, and what it is refused: asked and tried from inside."""

from __future__ import annotations

import fcntl
import os
import platform
import struct
import sys
from pathlib import Path

import pytest

from paas.runtime.bundle import PTYS_MAX, SIGPENDING
from paas.specs import MIB, Limits
from tests.runtime.conftest import PYTHON, UID_BASE, Bed

pytestmark = pytest.mark.kernel

# Below 424 every architecture has its own numbers.
OWN_NUMBERS = {
    "x86_64": {"keyctl": 250, "add_key": 248, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
               "unshare": 272, "setns": 308, "mount": 165, "pivot_root": 155, "chroot": 161, "syslog": 103,
               "kexec_load": 246, "init_module": 175, "open_by_handle_at": 304},
    "aarch64": {"keyctl": 219, "add_key": 217, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
                "unshare": 97, "setns": 268, "mount": 40, "pivot_root": 41, "chroot": 51, "syslog": 116,
                "kexec_load": 104, "init_module": 105, "open_by_handle_at": 265},
}  # fmt: skip
NUMBERS = {
    "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "mount_setattr": 442,
    "pidfd_getfd": 438,
} | OWN_NUMBERS[platform.machine()]  # fmt: skip
ARGUMENTS = {"unshare": (0x1000_0000,), "syslog": (3, 0, 0)}


def test_ids_are_the_tenants_own(bed: Bed) -> None:
    lines = bed.says("id; cat /proc/self/uid_map; touch /tmp/mine; stat -c %u:%g /tmp/mine /etc/passwd")
    assert lines == [
        "uid=1000(app) gid=1000(app)",
        f"         0 {UID_BASE}      65536",
        "1000:1000",
        "0:0",
    ]


def test_process_has_no_privilege_and_cannot_gain_any(bed: Bed) -> None:
    lines = bed.says("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status")
    status = dict(line.split(":\t") for line in lines)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_root_capable_has_just_the_few(bed: Bed) -> None:
    lines = bed.says(
        "grep -E '^Cap(Eff|Bnd)' /proc/self/status; chown 7:7 /etc; echo $?", user="0", root_capable=True
    )
    # chown, dac_override, fowner, fsetid, kill, setgid, setuid, setfcap
    mask = sum(1 << bit for bit in (0, 1, 3, 4, 5, 6, 7, 31))
    assert lines[:2] == [f"CapEff:\t{mask:016x}", f"CapBnd:\t{mask:016x}"]


def test_namespaces_differ_from_the_hosts(bed: Bed) -> None:
    kinds = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
    lines = bed.says("for n in user mnt pid net ipc uts cgroup; do busybox readlink /proc/self/ns/$n; done")
    assert len(lines) == len(kinds)
    for kind, line in zip(kinds, lines, strict=True):
        assert line != os.readlink(f"/proc/self/ns/{kind}")  # noqa: PTH115


# How many inotify instances and message queues there are to be had: each kind until it is refused, all kept.
TAKE_ALL = """
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.mq_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
kinds = [
    lambda n: libc.inotify_init1(0),
    lambda n: libc.mq_open(f"/{os.getpid()}-{n}".encode(), os.O_CREAT | os.O_RDWR, 0o600, None),
]
print(*(next(n for n in range(1 << 20) if make(n) < 0) for make in kinds), flush=True)
"""


def test_what_the_kernel_counts_by_user_is_each_tenants_own(bed: Bed) -> None:
    """Else one tenant could have all of it, and others and the host's own root none."""
    program = str(Path(sys.base_prefix) / "bin" / "python3")
    args = (program, "-I", "-S", "-c", f"{TAKE_ALL}time.sleep(60)")
    taker = bed.launch(bed.spec(*args, mounts=PYTHON, limits=Limits(128 * MIB, 0, pids=8)))
    bed.until(lambda: bool(bed.output(taker)), 30)
    (taken,) = bed.output(taker)
    (left,) = bed.python(TAKE_ALL, tenant=bed.neighbour, limits=Limits(128 * MIB, 0, pids=8))
    assert left == taken
    assert min(map(int, taken.split())) > 0


def test_pseudo_terminals_are_few_and_aio_is_refused(bed: Bed) -> None:
    """The kernel has so many for all that runs on it."""
    code = (
        "import ctypes, errno, os, platform\n"
        "made = 0\n"
        "try:\n"
        "    while True: os.open('/dev/ptmx', os.O_RDWR); made += 1\n"
        "except OSError as error: print(made, errno.errorcode[error.errno])\n"
        "libc, context = ctypes.CDLL(None, use_errno=True), ctypes.c_ulong(0)\n"
        "libc.syscall({'x86_64': 206, 'aarch64': 0}[platform.machine()], 1024, ctypes.byref(context))\n"
        "print(errno.errorcode[ctypes.get_errno()])\n"
    )
    assert bed.python(code) == [f"{PTYS_MAX} ENOSPC", "ENOSYS"]


def test_system_calls_are_refused(bed: Bed) -> None:
    calls = {name: (number, *ARGUMENTS.get(name, (0, 0, 0))) for name, number in NUMBERS.items()}
    code = (
        "import ctypes, errno\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"for name, call in {calls!r}.items():\n"
        "    result = libc.syscall(*call)\n"
        "    print(name, errno.errorcode[ctypes.get_errno()] if result < 0 else 'DONE')\n"
    )
    for user, root_capable in (("1000", False), ("0", True)):
        results = dict(line.split() for line in bed.python(code, user=user, root_capable=root_capable))
        assert results == dict.fromkeys(calls, "EPERM")


def test_clone_into_a_user_namespace_is_refused(bed: Bed) -> None:
    code = (
        "import ctypes, errno, platform\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "clone = {'x86_64': 56, 'aarch64': 220}[platform.machine()]\n"
        "for number in (clone, 435):\n"
        "    print(libc.syscall(number, 0x10000011, 0, 0, 0, 0), errno.errorcode[ctypes.get_errno()])\n"
    )
    assert bed.python(code) == ["-1 EPERM", "-1 ENOSYS"]


def test_socket_families(bed: Bed) -> None:
    code = (
        "import socket\n"
        "for family, kind, protocol in ((38, 5, 0), (40, 1, 0), (17, 3, 768), (16, 3, 12), (16, 3, 9),\n"
        "                               (2, 3, 1), (1, 1, 0), (2, 1, 0), (10, 2, 0), (16, 3, 0)):\n"
        "    try:\n"
        "        socket.socket(family, kind, protocol).close(); print(family, 'open')\n"
        "    except OSError as error:\n"
        "        print(family, error.errno)\n"
    )
    # AF_ALG, AF_VSOCK, AF_PACKET, netfilter and audit over netlink, a raw socket; then those that apps use.
    refused = ["38 97", "40 97", "17 97", "16 93", "16 93", "2 1"]
    assert bed.python(code) == [*refused, "1 open", "2 open", "10 open", "16 open"]


def test_devices_and_mounts_are_refused_even_to_root(bed: Bed) -> None:
    lines = bed.says(
        "exec 2>&1; mknod /tmp/disk b 254 0; mount -t tmpfs none /tmp; mount -o remount,rw /sys;"
        "ls /dev/vda /dev/kmsg",
        user="0",
        root_capable=True,
    )
    assert lines[0].endswith("Operation not permitted")
    assert lines[1:3] == ["mount: permission denied (are you root?)"] * 2
    assert all(line.endswith("No such file or directory") for line in lines[3:])


def test_kernel_files_are_read_only_or_empty(bed: Bed) -> None:
    targets = (
        "/proc/sys/kernel/core_pattern /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger "
        "/sys/kernel/mm/transparent_hugepage/enabled /proc/irq/default_smp_affinity"
    )
    lines = bed.says(
        f"for f in {targets}; do (echo 1 > $f) 2>/dev/null && echo wrote $f; done;"
        "cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | busybox wc -c;"
        "busybox find / -name release_agent 2>/dev/null",
        user="0",
        root_capable=True,
    )
    assert lines == ["0"]


def test_what_tenants_disks_are_called_and_do_is_hidden(bed: Bed) -> None:
    paths = "/sys/block/*/loop/backing_file /sys/block/loop*/stat /sys/class/bdi/*/max_ratio /sys/fs/ext4/*"
    paths += " /proc/diskstats /proc/partitions /proc/swaps /proc/fs/*/*/* /proc/fs/*/*"
    assert bed.says(f"cat {paths} 2>/dev/null; ls /proc/fs; echo end") == ["end"]


def test_locks_of_others_are_hidden(bed: Bed, tmp_path: Path) -> None:
    """One of an open file shows the disk, the file and the place, in every pid namespace."""
    with (tmp_path / "held").open("w") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 424242, 1, 0))
        assert "424242" in Path("/proc/locks").read_text()
        assert bed.says("cat /proc/locks; echo end") == ["end"]


def test_the_machines_own_disks_are_hidden_wherever_they_are_plugged_in(bed: Bed) -> None:
    """By all names, those that a walk through all of /sys finds among them; what programs ask of stays."""
    disks = [disk.name for disk in Path("/sys/block").iterdir()]
    assert any(
        not link.resolve().is_relative_to("/sys/devices/virtual") for link in Path("/sys/block").iterdir()
    )
    names = " -o ".join(f"-name {name}" for name in disks)
    folders = "/sys/block /sys/class/block /sys/class/bdi /sys/dev/block"
    lines = bed.says(
        f"busybox find {folders} -mindepth 1; busybox find /sys {names} 2>/dev/null;"
        "busybox find /sys/devices -name stat 2>/dev/null; echo end;"
        "cat /sys/class/net/lo/mtu /sys/devices/system/cpu/cpu0/topology/core_id"
    )
    assert lines[0] == "end" and len(lines) == 3


def test_the_hosts_null_device_stays_the_hosts(bed: Bed) -> None:
    """The runtime gives standard input to the container's user; the host's /dev/null must not go with it."""
    before = Path("/dev/null").stat()
    lines = bed.says(
        "exec 2>&1; chmod 600 /dev/null; chmod 600 /proc/self/fd/0; echo hi > /dev/null && echo ok"
    )
    assert ["Read-only file system" in line for line in lines] == [True, True, False]
    assert lines[-1] == "ok"
    after = Path("/dev/null").stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def test_neighbours_processes_are_invisible(bed: Bed) -> None:
    neighbour = bed.launch(bed.spec("sleep 60", tenant=bed.neighbour))
    assert bed.says("ls /proc | grep -c '^[0-9]'; kill -9 -1; echo alone")[-1:] != ["0"]
    assert bed.runtime.state(neighbour.id).status == "running"


def test_setuid_files_give_nothing(bed: Bed) -> None:
    make = "busybox cp /bin/busybox /tmp/busybox && chmod 4755 /tmp/busybox && echo made; sleep 60"
    spec = bed.launch(bed.spec(make, user="0", root_capable=True))
    bed.until(lambda: bed.output(spec) == ["made"])
    assert bed.runtime.exec(spec, ("/tmp/busybox", "id", "-u"), user="1000").stdout == "1000\n"


def test_no_descriptor_of_ours_is_inherited(bed: Bed) -> None:
    assert bed.says("echo /proc/1/fd/*") == ["/proc/1/fd/0 /proc/1/fd/1 /proc/1/fd/2"]


def test_ordinary_ports_and_rlimits(bed: Bed) -> None:
    pending = "awk '/pending signals/ { print $4, $5 }' /proc/self/limits"
    lines = bed.says(f"cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ulimit -n; ulimit -c; {pending}")
    assert lines[0] == "0"
    assert 1024 <= int(lines[1]) <= 65_536
    assert lines[2] == "0"
    soft, hard = map(int, lines[3].split())
    assert 1024 <= soft == hard <= SIGPENDING
