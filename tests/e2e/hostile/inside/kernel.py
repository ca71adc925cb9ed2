"""Ask the kernel for what a tenant's root should not have: `python3 kernel.py ATTACK [JSON]`.

Says in the end, as one line of JSON, what was refused and how, or what was not.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import platform
import shutil
import signal
import socket
import stat
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
Told = dict[str, object]
NAMESPACES = {
    "user": 0x1000_0000, "mnt": 0x2_0000, "pid": 0x2000_0000, "net": 0x4000_0000, "ipc": 0x800_0000,
    "uts": 0x400_0000, "cgroup": 0x200_0000, "time": 0x80,
}  # fmt: skip


def answer(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def call(*arguments: object) -> str:
    result = libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    return errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else "done"


# --- system calls
def system_calls(numbers: str) -> Told:
    """Each of the numbers once, in a process of its own that need not survive it, with arguments that no call
    can make sense of: number -> errno's name, "done", or the signal that ended the process."""
    told: Told = {}
    for number in json.loads(numbers):
        shared = mmap.mmap(-1, 16)
        pid = os.fork()
        if pid == 0:
            signal.alarm(1)
            said = call(number, -1, -1, -1, -1, -1, -1)
            shared[: len(said)] = said.encode()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "done"
        told[str(number)] = shared[:].rstrip(b"\0").decode() or ended
    return told


def foreign_calls(_: str) -> Told:
    """getpid as x32 and as i386 know it: whoever lists numbers of one architecture may forget the others."""
    if platform.machine() != "x86_64":
        return {"x32": "SIGSYS", "i386": "SIGSYS"}
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
    start = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return {
        "x32": ended(lambda: call(0x4000_0000 + 39)),
        "i386": ended(ctypes.CFUNCTYPE(ctypes.c_int)(start)),
    }


def ended(what: Callable[[], object]) -> str:
    pid = os.fork()
    if pid == 0:
        what()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "done"


def socket_families(_: str) -> Told:
    """The families and kinds that there is a socket of, of all that there could be."""
    opened = set()
    for family in range(1, 64):
        for kind in (1, 2, 3, 4, 5, 10):
            for protocol in (0, 1, 255):
                with suppress(OSError):
                    socket.socket(family, kind, protocol).close()
                    opened.add((family, kind))
    netlink = [p for p in range(32) if answer(lambda p=p: socket.socket(16, 3, p).close()) == "done"]  # type: ignore[misc]
    return {"opened": sorted(opened), "netlink": netlink}


# --- mounts, namespaces, devices
def mounts_and_namespaces(_: str) -> Told:
    null, here = ctypes.c_char_p(None), ctypes.c_char_p(b"/tmp")
    told: Told = {
        "mount": _libc("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "bind": _libc("mount", b"/proc", b"/tmp", null, 4096, None),
        "remount /sys": _libc("mount", null, b"/sys", null, 32, None),
        "umount": _libc("umount2", b"/proc", 2),
        "pivot_root": call({"x86_64": 155, "aarch64": 41}[platform.machine()], here, here),
        "chroot": answer(lambda: os.chroot("/tmp")),
        "fsopen": call(430, ctypes.c_char_p(b"tmpfs"), 0),
        "open_tree": call(428, -100, here, 1),
        "move_mount": call(429, -100, here, -100, here, 0),
        "setns": _libc("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0),
    }
    return {**told, **{f"unshare {name}": _libc("unshare", flag) for name, flag in NAMESPACES.items()}}


def _libc(name: str, *arguments: object) -> str:
    return errno.errorcode[ctypes.get_errno()] if getattr(libc, name)(*arguments) < 0 else "done"


def devices(_: str) -> Told:
    """Making each kind of node, of some devices that every host has; and those that are there."""
    told: Told = {}
    for kind, bit in {"block": stat.S_IFBLK, "char": stat.S_IFCHR}.items():
        for major, minor in ((1, 1), (1, 5), (7, 0), (8, 0), (10, 200), (253, 0), (254, 0)):
            said = answer(lambda: os.mknod("/tmp/node", bit | 0o666, os.makedev(major, minor)))  # noqa: B023
            told[f"{kind} {major}:{minor}"] = said
    names = [path for path in Path("/dev").rglob("*") if path.is_char_device() or path.is_block_device()]
    told["there"] = sorted(str(path) for path in names)
    return told


# --- processes
def outside_processes(_: str) -> Told:
    """Everybody it can see, and what it can do to process ids that are not its own."""
    seen = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    own = {1, os.getpid()}
    told: Told = {"seen": [pid for pid in seen if pid not in own]}
    others = [pid for pid in (2, *range(50, 60), 100, 1000, 4_000_000) if pid not in seen]
    told["ptrace"] = sorted({_libc("ptrace", 16, pid, None, None) for pid in others})
    told["memory"] = sorted({answer(Path(f"/proc/{pid}/mem").read_bytes) for pid in others})
    told["kill"] = answer(lambda: os.kill(-1, signal.SIGKILL))
    told["parent"] = os.getppid()
    return told


# --- files of the kernel
def writable_files(_: str) -> Told:
    """Every file below /proc and /sys that opens for writing, and every folder there in which one can be made.

    Of processes only one, a child of this, is looked at, and written to: `own` are the names of what takes it.
    """
    pid = os.fork()
    if pid == 0:
        signal.pause()
    told: Told = {
        "opened": sorted(_opened("/sys") | _opened("/proc")),
        "made": [folder for top in ("/proc", "/sys") for folder, _, _ in os.walk(top) if _makes(folder)],
        "own": sorted(_written(f"/proc/{pid}")),
    }
    os.kill(pid, signal.SIGKILL)
    return told


def _opened(top: str) -> set[str]:
    """Not what is masked, which is the null device whatever its name says."""
    found = set()
    for folder, folders, files in os.walk(top):
        if folder == "/proc":
            folders[:] = [name for name in folders if not name.isdigit()]
        paths = [f"{folder}/{name}" for name in files if not os.path.islink(f"{folder}/{name}")]  # noqa: PTH114
        found |= {path for path in paths if os.lstat(path).st_rdev != os.makedev(1, 3) and _opens(path)}
    return found


def _opens(path: str) -> bool:
    return answer(lambda: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))) == "done"


def _makes(folder: str) -> bool:
    return answer(lambda: os.mkdir(f"{folder}/attack")) == "done"  # noqa: PTH102


def _written(folder: str) -> set[str]:
    """By a word that means nothing, and by a number."""
    found = set()
    for path in Path(folder).iterdir():
        for text in (b"x", b"0"):
            with suppress(OSError):
                descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                try:
                    os.write(descriptor, text)
                    found.add(path.name)
                finally:
                    os.close(descriptor)
    return found


def secrets(paths: str) -> Told:
    """How many bytes each file gives, or why none."""
    told: Told = {}
    for path in json.loads(paths):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            told[path] = len(os.read(descriptor, 65536))
            os.close(descriptor)
        except OSError as error:
            told[path] = errno.errorcode[error.errno or 0]
    told["syslog"] = call({"x86_64": 103, "aarch64": 116}[platform.machine()], 3, 0, 0)
    with Path("/proc/kallsyms").open() as symbols:
        told["kernel addresses"] = len({line.split()[0] for line in symbols} - {"0" * 16})
    found = [str(path) for path in Path("/sys").rglob("release_agent")] if Path("/sys").is_dir() else []
    told["release_agent"] = found
    return told


# --- gaining rights
def privileged_program(path: str) -> Told:
    """Leave a program there that root owns and that says "run me as root, with every capability"."""
    shutil.copy2(os.path.realpath(sys.executable), path)
    every = struct.pack("<IIIII", 0x0200_0001, 0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF)
    os.setxattr(path, "security.capability", every)
    Path(path).chmod(0o6755)
    return {"mode": oct(os.stat(path).st_mode), "capabilities": len(os.getxattr(path, "security.capability"))}  # noqa: PTH116


def run_by_another(path: str) -> Told:
    """Who an ordinary user is that runs it, and with which capabilities."""
    look = "import os; print(os.geteuid(), *[l.split()[1] for l in open('/proc/self/status') if 'CapEff' in l])"
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write, 1)
        os.setgroups([])
        os.setgid(1000)
        os.setuid(1000)
        os.execv(path, [path, "-I", "-c", look])
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as said:
        return {"said": said.read().strip()}


def privileged_program_here(path: str) -> Told:
    return privileged_program(path) | run_by_another(path)


def main() -> None:
    given = sys.argv[2] if len(sys.argv) > 2 else ""
    print(json.dumps(globals()[sys.argv[1]](given)), flush=True)


if __name__ == "__main__":
    main()
