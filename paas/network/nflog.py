"""Packets that a rule reports by `log group` (linux/netfilter/nfnetlink_log.h), as the addresses they go to."""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from paas.network import nfnetlink, rtnetlink

_CONFIG, _PACKET = 4 << 8 | 1, 4 << 8 | 0
_COMMAND, _MODE, _TIMEOUT, _THRESHOLD = 1, 2, 4, 5
_BIND, _COPY_PACKET = 1, 2
_PAYLOAD = 9
_NESTED = 0x3FFF
_GENERIC, _HEADER_LENGTH = 4, 20
_SO_RCVBUFFORCE = 33
ROOM = 8 * 1024 * 1024  # bytes of reports that nobody has read yet


def is_bound(group: int) -> bool:
    """Whether somebody listens to the group, in this network namespace."""
    lines = Path("/proc/thread-self/net/netfilter/nfnetlink_log").read_text().splitlines()
    return any(int(line.split()[0]) == group for line in lines)


class Lost(Exception):
    """The kernel had more to report than there was room for."""


class Calls:
    """Bound to a group, in the calling thread's network namespace. OSError: EBUSY if somebody else is."""

    def __init__(self, group: int) -> None:
        self._sock = nfnetlink.opened()
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, ROOM)
        for kind, value in (
            (_COMMAND, bytes([_BIND])),
            (_MODE, struct.pack("!IBx", _HEADER_LENGTH, _COPY_PACKET)),
            (_THRESHOLD, struct.pack("!I", 1)),  # each packet at once
            (_TIMEOUT, struct.pack("!I", 0)),
        ):
            body = rtnetlink.attributes({kind: value})
            self._sock.send(nfnetlink.message(_CONFIG, rtnetlink.ACKNOWLEDGE, body, about=group))
            list(nfnetlink.answers(self._sock))
        self._sock.setblocking(False)

    def close(self) -> None:
        self._sock.close()

    def wait(self, seconds: float) -> set[IPv4Address]:
        """Whom packets went to: at once when there are some, else nobody after so many seconds. Lost."""
        if not select.select([self._sock], [], [], seconds)[0]:
            return set()
        found: set[IPv4Address] = set()
        with suppress(BlockingIOError):
            while True:
                found.update(self._read())
        return found

    def _read(self) -> Iterator[IPv4Address]:
        try:
            data = self._sock.recv(rtnetlink.BUFFER)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise Lost from error
            raise
        for kind, body in rtnetlink.messages(data):
            if kind != _PACKET:
                continue
            found = rtnetlink.read_attributes(body[_GENERIC:])
            payload = next((value for name, value in found.items() if name & _NESTED == _PAYLOAD), b"")
            if len(payload) >= _HEADER_LENGTH and payload[0] >> 4 == 4:
                yield IPv4Address(payload[16:20])
