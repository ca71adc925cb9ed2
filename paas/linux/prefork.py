"""Parents of pre-forked servers: processes with children of their own that listen at the same socket.

Such a parent (gunicorn's arbiter, the master of Unicorn and Puma, uvicorn's supervisor) answers nobody itself.
It watches over its children, and many end one that they have not heard of for a while.
Sources: proc(5), pidfd_send_signal(2), select(2), fs/select.c, Documentation/networking/proc_net_tcp.rst.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from paas.linux.cgroups import Cgroup

_TCP_LISTEN = "0A"  # as in include/net/tcp_states.h
_UNIX_LISTENS = 0x10000  # __SO_ACCEPTCON in include/uapi/linux/net.h
# A tenant's processes may have any number of either. Servers open their listeners first, TCP's come first.
_FILES, _TABLE = 64, 1 << 20  # the latter in characters
_AT_REST = frozenset("STtZX")
# select, pselect6 and ppoll by their numbers: which argument tells the time, in which unit beside seconds.
_WAITING = {
    "x86_64": {23: (4, 1e-6), 270: (4, 1e-9), 271: (2, 1e-9)},
    "aarch64": {72: (4, 1e-9), 73: (2, 1e-9)},
}.get(os.uname().machine, {})
_STOP = 1 << signal.SIGSTOP - 1
_TIME = struct.Struct("qq")


def families(pids: Iterable[int]) -> dict[int, list[int]]:
    """Each parent among them, with its children that listen as it does."""
    sockets = {pid: _sockets(pid) for pid in pids}
    found: dict[int, list[int]] = {}
    for child, its in sockets.items():
        parent = _parent(child)
        shared = its & sockets.get(parent, frozenset())
        if shared and shared & _listening(parent):
            found.setdefault(parent, []).append(child)
    return found


def is_at_rest(pid: int) -> bool:
    """Whether none of its threads runs, wants to, or waits for a disk. One that has ended is."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return all(_state(task) in _AT_REST for task in Path(f"/proc/{pid}/task").iterdir())
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
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, mask = line.partition(":")
            if name in ("SigPnd", "ShdPnd") and int(mask, 16) & ~_STOP:
                return True
    return False


def send(number: signal.Signals, pids: Iterable[int], cgroup: Cgroup) -> None:
    """A signal to each that is still one of the cgroup's own. OSError."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            # Asked when the number cannot become another's any more, or what is sent goes nowhere.
            if pid in cgroup.direct_pids():
                signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            pass
        finally:
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


def _listening(pid: int) -> set[str]:
    """Of all sockets in its network namespace, by inode."""
    return {inode for name in ("tcp", "tcp6", "unix") for inode in _listening_of(pid, name)}


def _listening_of(pid: int, name: str) -> Iterator[str]:
    with suppress(FileNotFoundError, ProcessLookupError), Path(f"/proc/{pid}/net/{name}").open() as table:
        for line in table.read(_TABLE).rpartition("\n")[0].splitlines()[1:]:
            fields = line.split()
            if name == "unix":
                if int(fields[3], 16) & _UNIX_LISTENS:
                    yield fields[6]
            elif fields[3] == _TCP_LISTEN:
                yield fields[9]


def _left(task: Path) -> float:
    call, *arguments = (task / "syscall").read_text().split()
    argument, unit = _WAITING.get(int(call) if call.isdecimal() else -1, (0, 0.0))
    where = int(arguments[argument], 16) if unit else 0
    if not where:
        return 0.0
    with (task / "mem").open("rb", buffering=0) as memory:
        seconds, rest = map(int, _TIME.unpack(os.pread(memory.fileno(), _TIME.size, where)))
    return max(0.0, seconds + rest * unit)


def _parent(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(_after_name(Path(f"/proc/{pid}/stat"))[1])
    return 0


def _state(task: Path) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return _after_name(task / "stat")[0]
    return "X"


def _after_name(stat: Path) -> list[str]:
    """State, parent and what follows: the name before may have spaces and parentheses in it."""
    return stat.read_text().rpartition(") ")[2].split()
