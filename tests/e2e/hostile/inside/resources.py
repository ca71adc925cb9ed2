"""Take as much as can be had of one thing for some seconds: `python3 resources.py ATTACK SECONDS`.

Says in the end, as one line of JSON, what it got and what it was refused.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MIB = 1024 * 1024
HERE = Path("/attack")
IO_REALTIME, IO_BEST_EFFORT = 1, 2  # of ioprio_set(2)
libc = ctypes.CDLL(None, use_errno=True)
Told = dict[str, object]


def until(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def spin() -> None:
    while True:
        pass


def child(what: Callable[[], object]) -> int:
    """Its process id. It never returns into what its parent was at, and is killed before its parent is."""
    pid = os.fork()
    if pid == 0:
        try:
            Path("/proc/self/oom_score_adj").write_text("1000")
            what()
        finally:
            os._exit(0)
    return pid


def killed(pid: int) -> str:
    """How the child ended."""
    _, status = os.waitpid(pid, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else str(os.WEXITSTATUS(status))


def fork_bomb(seconds: float) -> Told:
    """Each child makes children of its own, and none of them rests."""
    refused = mmap.mmap(-1, 8)

    def grow() -> None:
        os.nice(19)  # who began it has a word left to say
        while True:
            try:
                os.fork()
            except OSError as error:
                refused[:8] = struct.pack("q", error.errno)

    child(grow)
    time.sleep(seconds)
    os.kill(-1, signal.SIGKILL)  # but for itself and the init
    return {"refused": errno.errorcode.get(*struct.unpack("q", refused[:8]))}


def thread_bomb(seconds: float) -> Told:
    going, refused, made = until(seconds), Counter[str](), 0
    threading.stack_size(64 * 1024)
    while going():
        try:
            threading.Thread(target=time.sleep, args=[seconds], daemon=True).start()
            made += 1
        except RuntimeError as error:
            refused[str(error)] += 1
    return {"made": made, "refused": list(refused)}


def eat(progress: mmap.mmap) -> None:
    held = []
    while True:
        held.append(bytearray(os.urandom(4096)) * (MIB // 4096))
        progress[:8] = struct.pack("q", len(held))


def memory_bomb(_: float) -> Told:
    """It is this command itself that is killed: nothing is said after this."""
    eat(mmap.mmap(-1, 8))
    return {}


def swap_evasion(seconds: float) -> Told:
    """Many small processes instead of a large one, each pushing what the others hold out to the swap: the most
    that all of them had at one time, in MiB."""
    seen = [mmap.mmap(-1, 8) for _ in range(8)]
    pids = [child(lambda progress=progress: eat(progress)) for progress in seen]  # type: ignore[misc]
    going, most = until(seconds), 0
    ended: list[str] = []
    while going() or not ended:  # a slow disk takes a while to be swapped to
        most = max(most, sum(struct.unpack("q", progress[:8])[0] for progress in seen))
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            at = pids.index(pid)
            seen[at][:8] = bytes(8)
            ended.append(signal.Signals(os.WTERMSIG(status)).name)
            pids[at] = child(lambda progress=seen[at]: eat(progress))  # type: ignore[misc]
        time.sleep(0.002)
    os.kill(-1, signal.SIGKILL)
    return {"most": most, "ended": ended}


def fill(path: Path, piece: bytes = bytes(MIB)) -> tuple[int, str]:
    """Bytes that went in, and why no more did."""
    with path.open("wb", buffering=0) as file:
        written = 0
        try:
            while True:
                written += file.write(piece)
        except OSError as error:
            return written, errno.errorcode[error.errno or 0]


def memory_files(_: float) -> Told:
    """What is in memory and looks like files: each in a process of its own, which may not survive it."""
    told: Told = {str(path.parent): fill(path) for path in (Path("/dev/shm/x"), Path("/dev/x"))}
    Path("/dev/shm/x").unlink()
    told["memfd"] = killed(child(lambda: fill(Path(f"/proc/self/fd/{os.memfd_create('x')}"))))
    told["sysv"] = killed(child(_shared_segments))
    return told


def _shared_segments() -> None:
    size = 32 * MIB
    libc.shmat.restype = ctypes.c_void_p
    while True:
        segment = libc.shmget(0, size, 0o600)
        if segment < 0:
            return
        ctypes.memset(libc.shmat(segment, None, 0), 1, size)


def disk_fill(_: float) -> Told:
    written, refused = fill(HERE / "fill", os.urandom(MIB))
    return {"written": written, "refused": refused}


def inode_fill(_: float) -> Told:
    made = 0
    try:
        while True:
            os.close(os.open(HERE / f"{made}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        return {"made": made, "refused": errno.errorcode[error.errno or 0]}


def sparse_file(_: float) -> Told:
    """100 GB that are not there; then a piece here and there, until no more go in."""
    size, piece, written = 100_000_000_000, os.urandom(64 * 1024), 0
    with (HERE / "sparse").open("wb", buffering=0) as file:
        file.truncate(size)
        try:
            for place in range(0, size, 8 * MIB):
                written += os.pwrite(file.fileno(), piece, place)
        except OSError as error:
            shown = os.fstat(file.fileno()).st_size
            return {"size": shown, "written": written, "refused": errno.errorcode[error.errno or 0]}
    return {"size": size, "written": written, "refused": ""}


def cpu_spin(seconds: float) -> Told:
    """After asking to go before everybody else. `cores` is how many it got."""
    begun = time.monotonic()
    told: Told = {
        "nice": _answer(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)),
        "fifo": _answer(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))),
        "disk, realtime": _io_priority(IO_REALTIME),
        "disk, first of the others": _io_priority(IO_BEST_EFFORT),
    }
    pids = [child(spin) for _ in range(4 * (os.cpu_count() or 1))]
    time.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {**told, "cores": (used.ru_utime + used.ru_stime) / (time.monotonic() - begun)}


def _io_priority(kind: int) -> str:
    """Of this process, the best of the class. ioprio_set(2) has no function in libc."""
    number = {"x86_64": 251, "aarch64": 30}[os.uname().machine]
    return _called(libc.syscall, number, 1, 0, kind << 13)


def _answer(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def _called(function: Callable[..., int], *arguments: object) -> str:
    return errno.errorcode[ctypes.get_errno()] if function(*arguments) < 0 else "done"


def fsync_storm(seconds: float) -> Told:
    """Of its own files, and sync(2), which means everybody's."""
    counts = [mmap.mmap(-1, 8) for _ in range(4)]

    def storm(number: int) -> None:
        done = 0
        with (HERE / f"storm{number}").open("wb", buffering=0) as file:
            while True:
                os.pwrite(file.fileno(), os.urandom(4096), (done % 256) * 4096)
                os.sync() if number == 0 else os.fsync(file.fileno())
                done += 1
                counts[number][:8] = struct.pack("q", done)

    pids = [child(lambda number=number: storm(number)) for number in range(4)]  # type: ignore[misc]
    time.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return {"done": [struct.unpack("q", count[:8])[0] for count in counts]}


def descriptors(_: float) -> Told:
    opened, refused = 0, ""
    while not refused:
        try:
            os.open("/dev/null", os.O_RDONLY)
            opened += 1
        except OSError as error:
            refused = errno.errorcode[error.errno or 0]
    return {"opened": opened, "refused": refused, "limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}


def shared_counts(seconds: float) -> Told:
    """Things that the kernel counts for the whole machine: all that can be had of them, held for a while.

    Each refusal is that of the last one asked for.
    """
    told: Told = {}
    for name, make in {"ptys": _pty, "aio": _aio, "inotify": _inotify}.items():
        made, refused = 0, ""
        while not refused and made < 100_000:
            refused = make()
            made += not refused
        told[name] = [made, refused]
    told["timers"] = _timers()
    print(json.dumps(told), flush=True)
    time.sleep(seconds)
    return told


def _pty() -> str:
    return _refusal(_answer(lambda: os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)))


def _inotify() -> str:
    return _refusal(_called(libc.inotify_init1, 0))


def _aio() -> str:
    """io_setup(2) has no function in libc."""
    number, context = {"x86_64": 206, "aarch64": 0}[os.uname().machine], ctypes.c_ulong(0)
    return _refusal(_called(libc.syscall, number, 1024, ctypes.byref(context)))


def _timers() -> list[object]:
    """Of a process of its own, which goes on to hold them: the kernel keeps them in the container's memory."""
    progress = mmap.mmap(-1, 16)

    def make() -> None:
        made, timer = 0, ctypes.c_void_p()
        while libc.timer_create(time.CLOCK_MONOTONIC, None, ctypes.byref(timer)) == 0:
            made += 1
            progress[:8] = struct.pack("q", made)
        progress[8:] = struct.pack("q", ctypes.get_errno())
        time.sleep(60)

    pid = child(make)
    ended = 0
    while not (any(progress[8:]) or ended):
        ended, _ = os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)
    made, refused = struct.unpack("qq", progress[:])
    return [made, errno.errorcode.get(refused, "killed")]


def _refusal(said: str) -> str:
    return "" if said == "done" else said


def stubborn(seconds: float) -> Told:
    """Whatever it is asked."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError):
            signal.signal(number, signal.SIG_IGN)
    print("ready", flush=True)
    time.sleep(seconds)
    return {}


def main() -> None:
    name, seconds = sys.argv[1], float(sys.argv[2])
    print(json.dumps(globals()[name](seconds)), flush=True)


if __name__ == "__main__":
    main()
