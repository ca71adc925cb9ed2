"""Parents of pre-forked servers: processes with children of their own that listen at the same socket.

Such a parent (gunicorn's arbiter, the master of Unicorn and Puma, uvicorn's supervisor) mostly answers nobody
itself. It watches over its children, and many end one that they have not heard of for a while. One that accepts
for its children looks the same from outside.
Sources: proc(5), pidfd_send_signal(2), select(2), fs/select.c.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from paas.linux import sockets
from paas.linux.cgroups import Cgroup

# A tenant's processes may have any number of all this. Servers open their listeners first; of who has more
# processes nobody is a parent.
_PROCESSES, _FILES, _TASKS = 128, 64, 64
_AT_REST = frozenset(b"STtZX")
# select, pselect6 and ppoll by their numbers: which argument tells the time, in which unit beside seconds.
_WAITING = {
    "x86_64": {23: (4, 1e-6), 270: (4, 1e-9), 271: (2, 1e-9)},
    "aarch64": {72: (4, 1e-9), 73: (2, 1e-9)},
}.get(os.uname().machine, {})
_ADDRESSES = 1 << 47
_STOP = 1 << signal.SIGSTOP - 1
_TIME = struct.Struct("qq")


class Family(NamedTuple):
    """A parent, those children that listen as it does, and where, by inode."""

    parent: int
    children: list[int]
    sockets: list[str]


def families(pids: Sequence[int]) -> list[Family]:
    """Of these processes. None where they are very many."""
    if len(pids) > _PROCESSES:
        return []
    open_by = {pid: _sockets(pid) for pid in pids}
    children: dict[int, dict[int, frozenset[str]]] = {}
    for child, its in open_by.items():
        parent = _parent(child)
        if shared := its & open_by.get(parent, frozenset()):
            children.setdefault(parent, {})[child] = shared
    found = []
    for parent, theirs in children.items():
        listening = sockets.listening(parent)
        family = sorted(child for child, shared in theirs.items() if shared & listening)
        if family:
            found.append(Family(parent, family, sorted(listening & open_by[parent])))
    return found


def is_at_rest(pid: int) -> bool:
    """Whether none of its threads, of the first, runs, wants to, or waits for a disk. One that has ended is."""
    with suppress(FileNotFoundError, ProcessLookupError), os.scandir(f"/proc/{pid}/task") as tasks:
        return all(_state(Path(task)) in _AT_REST for task in islice(tasks, _TASKS))
    return True


def longest_wait(pid: int) -> float:
    """Seconds that its threads, which stand still, will go on waiting in select(2) or ppoll(2) when they run.

    Other calls wait until a moment, which comes while a process is frozen. These are told for how long: when
    one is interrupted the kernel notes what is left of that, and begins with it again.
    """
    with suppress(OSError):
        return max(map(_left, Path(f"/proc/{pid}/task").iterdir()), default=0.0)
    return 0.0


def has_signals(pid: int) -> bool:
    """Whether any wait for it, but the one that stops it."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            name, _, mask = line.partition(b":\t")
            if name in (b"SigPnd", b"ShdPnd") and int(mask, 16) & ~_STOP:
                return True
    return False


def send(number: signal.Signals, pids: Sequence[int], cgroup: Cgroup) -> None:
    """A signal to each that is still one of the cgroup's own. OSError."""
    fds: dict[int, int] = {}
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                fds[pid] = os.pidfd_open(pid)
        # Asked when no number can become another's any more, or what is sent goes nowhere.
        own = set(cgroup.direct_pids())
        for pid, fd in fds.items():
            if pid in own:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, number)
    finally:
        for fd in fds.values():
            os.close(fd)


def _sockets(pid: int) -> frozenset[str]:
    """By inode, of its first files."""
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError), os.scandir(f"/proc/{pid}/fd") as files:
        for file in islice(files, _FILES):
            with suppress(FileNotFoundError):
                kind, _, inode = str(Path(file).readlink()).partition(":")
                if kind == "socket":
                    found.add(inode.strip("[]"))
    return frozenset(found)


def _left(task: Path) -> float:
    call, *arguments = (task / "syscall").read_text().split()
    argument, unit = _WAITING.get(int(call) if call.isdecimal() else -1, (0, 0.0))
    where = int(arguments[argument], 16) if unit else 0
    if not 0 < where < _ADDRESSES:
        return 0.0
    with (task / "mem").open("rb", buffering=0) as memory:
        found = os.pread(memory.fileno(), _TIME.size, where)
    if len(found) < _TIME.size:
        return 0.0
    seconds, rest = map(int, _TIME.unpack(found))
    return max(0.0, seconds + rest * unit)


def _parent(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(_after_name(Path(f"/proc/{pid}/stat"))[1])
    return 0


def _state(task: Path) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return _after_name(task / "stat")[0][0]
    return ord("X")


def _after_name(stat: Path) -> list[bytes]:
    """State, parent and what follows. The name before may be any bytes, spaces and parentheses too."""
    return stat.read_bytes().rpartition(b") ")[2].split()
