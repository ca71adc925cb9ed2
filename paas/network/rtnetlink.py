"""rtnetlink(7), as much of it as we need: requests packed, many sent at a time, dumps read.

A socket belongs for good to the network namespace of the thread that opens it. This is ours because every
launch waits for it: the general library took half a millisecond a message, the kernel takes a twentieth.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# linux/rtnetlink.h
NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, DELADDR = 20, 21
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH = 28
# linux/netlink.h
CREATE, EXCLUSIVE, REPLACE = 0x400, 0x200, 0x100
REQUEST, ACKNOWLEDGE, DUMP = 0x1, 0x4, 0x300
ERROR, DONE = 2, 3
_SOL_NETLINK, _CAP_ACK = 270, 10

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst and src length, tos, table, protocol, scope, type, flags
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
BUFFER = 1 << 16
TIMEOUT_SECONDS = 30.0

Attributes = Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """A message type, its flags besides REQUEST and ACK, and what follows the header."""

    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Route:
    """An entry of a dump: prefix length of its target, routing table, and attributes (RTA_*)."""

    length: int
    table: int
    attributes: Attributes


def attributes(values: Attributes) -> bytes:
    """struct rtattr after struct rtattr, padded to four bytes; nested ones are just that as a value."""
    return b"".join(
        _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)
        for kind, value in values.items()
    )


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def number(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


def mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


def link(values: Attributes, *, index: int = 0, flags: int = 0) -> bytes:
    """struct ifinfomsg; `flags` (IFF_*) are switched on, the others left alone."""
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, flags) + attributes(values)


def address(values: Attributes, *, index: int, length: int, scope: int = 0) -> bytes:
    return _ADDRESS.pack(socket.AF_INET, length, 0, scope, index) + attributes(values)


def route(values: Attributes, *, length: int, protocol: int, scope: int, kind: int, flags: int = 0) -> bytes:
    """In the main table. `kind` is RTN_*, `flags` are RTNH_F_*."""
    main = 254
    head = _ROUTE.pack(socket.AF_INET, length, 0, 0, main, protocol, scope, kind, flags)
    return head + attributes(values)


def neighbour(values: Attributes, *, index: int, state: int) -> bytes:
    return _NEIGHBOUR.pack(socket.AF_INET, index, state, 0, 0) + attributes(values)


def send(*requests: Request) -> None:
    """Have the kernel carry out all of them, in order, by one system call; one that fails stops none after it.

    OSError: the first failure.
    """
    with _opened() as sock:
        sock.send(b"".join(_pack(request, ACKNOWLEDGE, place) for place, request in enumerate(requests)))
        failures = [failure for failure in _acknowledged(sock, len(requests)) if failure]
    if failures:
        raise OSError(failures[0], os.strerror(failures[0]))


def links() -> list[Attributes]:
    """Each link's attributes (IFLA_*)."""
    every = Request(GETLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    return [read_attributes(body[_LINK.size :]) for body in _answers(every, DUMP)]


def link_attributes(index: int) -> Attributes:
    """One link's attributes (IFLA_*). OSError: there is none with this index."""
    (body,) = _answers(Request(GETLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0)), ACKNOWLEDGE)
    return read_attributes(body[_LINK.size :])


def routes() -> list[Route]:
    """Every IPv4 route of every table."""
    found = []
    every = Request(GETROUTE, 0, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0))
    for body in _answers(every, DUMP):
        _, length, _, _, table, *_ = _ROUTE.unpack_from(body)
        found.append(Route(length, table, read_attributes(body[_ROUTE.size :])))
    return found


def _opened() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    sock.settimeout(TIMEOUT_SECONDS)
    sock.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
    return sock


def _pack(request: Request, flags: int, sequence: int) -> bytes:
    head = (request.kind, REQUEST | request.flags | flags, sequence, 0)
    return HEADER.pack(HEADER.size + len(request.body), *head) + request.body


def _acknowledged(sock: socket.socket, wanted: int) -> Iterator[int]:
    """The errno, or 0, of so many requests."""
    while wanted > 0:
        for kind, body in messages(sock.recv(BUFFER)):
            if kind == ERROR:
                wanted -= 1
                yield failure(body)


def _answers(request: Request, flags: int) -> Iterator[bytes]:
    """What the kernel says of a question, up to the end of a dump or to its acknowledgement."""
    with _opened() as sock:
        sock.send(_pack(request, flags, 0))
        while True:
            for kind, body in messages(sock.recv(BUFFER)):
                if kind == ERROR and (number := failure(body)):
                    raise OSError(number, os.strerror(number))
                if kind in (DONE, ERROR):
                    return
                yield body


def failure(body: bytes) -> int:
    """The errno of an acknowledgement, 0 for success."""
    return -int.from_bytes(body[:4], sys.byteorder, signed=True)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        length, kind, *_ = HEADER.unpack_from(data, at)
        yield kind, data[at + HEADER.size : at + length]
        at += length + -length % 4


def read_attributes(data: bytes) -> Attributes:
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        found[kind] = data[at + _ATTRIBUTE.size : at + length]
        at += length + -length % 4
    return found
