"""Sockets of a process's network namespace, as /proc/PID/net shows them.

Sources: Documentation/networking/proc_net_tcp.rst, get_tcp4_sock in net/ipv4/tcp_ipv4.c, net/unix/af_unix.c.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

_LISTEN = b"0A"  # as in include/net/tcp_states.h
_SYN_RECV = b"03"
_UNIX_LISTENS = 0x10000  # __SO_ACCEPTCON in include/uapi/linux/net.h
_TABLE = 1 << 18  # bytes, of which a tenant may have any number; those who listen come first
_TCP, _UNIX = 10, 7  # fields of a line, at least


def listening(pid: int) -> set[str]:
    """By inode."""
    tcp = (fields[9] for fields in _tcp(pid) if fields[3] == _LISTEN)
    unix = (fields[6] for fields in _table(pid, "unix") if _flags(fields[3]) & _UNIX_LISTENS)
    return {inode.decode("ascii", "replace") for inode in (*tcp, *unix)}


def has_callers(pid: int, sockets: Collection[str]) -> bool:
    """Whether somebody waits to be accepted at one of these of TCP, by inode."""
    for fields in _tcp(pid):
        if fields[3] == _LISTEN and fields[9].decode() in sockets:
            _, _, waiting = fields[4].partition(b":")
            if waiting.strip(b"0"):
                return True
    return False


def is_accepted(pid: int, port: int, caller: int) -> bool | None:
    """Whether a process there has taken the TCP connection to `port` from the port `caller`; None where the
    kernel has none that is established. Until then it waits in the listener's queue, and has no inode."""
    here, there = b":%04X" % port, b":%04X" % caller
    for fields in _tcp(pid):
        if fields[3] not in (_LISTEN, _SYN_RECV) and fields[1].endswith(here) and fields[2].endswith(there):
            return fields[9] != b"0"
    return None


def _tcp(pid: int) -> Iterator[list[bytes]]:
    yield from _table(pid, "tcp")
    yield from _table(pid, "tcp6")


def _table(pid: int, name: str) -> Iterator[list[bytes]]:
    """Lines of such a file. What a socket is called stands there as it is, even line ends."""
    with suppress(FileNotFoundError, ProcessLookupError), Path(f"/proc/{pid}/net/{name}").open("rb") as file:
        lines = (line.split() for line in file.read(_TABLE).split(b"\n")[1:])
        yield from (fields for fields in lines if len(fields) >= (_UNIX if name == "unix" else _TCP))


def _flags(field: bytes) -> int:
    try:
        return int(field, 16)
    except ValueError:
        return 0
