"""nfnetlink(7), as much of it as we need: every chain of nftables, and elements of its sets and maps. The
library reads all rules and sets to name them, which takes half a second where there are many tenants."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.network import rtnetlink
from paas.network.rtnetlink import HEADER

# linux/netlink.h, linux/netfilter/nfnetlink.h, nf_tables.h; linux/netfilter.h
PROTOCOL = 12
_TABLES = 10  # the subsystem
_GETCHAIN, _NEWELEMENT, _GETELEMENT, _DELELEMENT = (_TABLES << 8 | kind for kind in (4, 12, 13, 14))
_GETGENERATION = _TABLES << 8 | 16
_GENERATION = 1
_BEGIN, _END = 0x10, 0x11  # of a transaction
_TABLE, _NAME, _HOOK, _POLICY = 1, 3, 4, 5
_HOOKNUM = 1
FORWARD = 2
_FAMILIES = {1: "inet", 2: "ip"}
# Of a set's elements: their list with table and set; of an element its key and its data, of those the value
_ELEMENTS_TABLE, _ELEMENTS_SET, _ELEMENTS, _ELEMENT = 1, 2, 3, 1
_KEY, _DATA, _EXPIRES, _VALUE = 1, 2, 5, 1
_INET = 1
_GENERIC = struct.Struct("!BBH")  # family, version, resource id
_IS_NESTED = 0x8000
# To close one waits until the kernel is rid of what it deleted: a later call does it (see paas.network.nft).
_used: deque[tuple[float, int]] = deque()
CLOSE_AFTER_SECONDS = 0.1
_NESTED = 0x3FFF  # the type of an attribute, without its flags


@dataclass(frozen=True, slots=True)
class Chain:
    """`hook` is where it is called from, None for one that only others go to."""

    family: str
    table: str
    name: str
    hook: int | None
    drops: bool  # by its policy


@dataclass(frozen=True, slots=True)
class Element:
    """Of a set or a map, in a table of the family inet. `key` as the kernel compares it: parts that are joined
    by a dot one after the other, each filled up to four bytes. `data` is what a map leads to."""

    set: str
    key: bytes
    data: bytes = b""


def opened() -> socket.socket:
    """In the calling thread's network namespace. OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, PROTOCOL)
    sock.settimeout(rtnetlink.TIMEOUT_SECONDS)
    return sock


def message(
    kind: int, flags: int, body: bytes = b"", *, family: int = socket.AF_UNSPEC, about: int = 0
) -> bytes:
    """`about` is the resource id of the generic header."""
    length = HEADER.size + _GENERIC.size + len(body)
    return HEADER.pack(length, kind, rtnetlink.REQUEST | flags, 0, 0) + _GENERIC.pack(family, 0, about) + body


def chains() -> list[Chain]:
    """Of the families inet and ip, in the calling thread's network namespace. OSError."""
    with opened() as sock:
        sock.send(message(_GETCHAIN, rtnetlink.DUMP))
        return [chain for body in answers(sock) if (chain := _read(body))]


def generation() -> int:
    """Another number whenever somebody has committed a change to any table; packets change none. OSError."""
    with opened() as sock:
        sock.send(message(_GETGENERATION, rtnetlink.ACKNOWLEDGE))
        (body,) = answers(sock)
        return int.from_bytes(_plain(body[_GENERIC.size :])[_GENERATION], "big")


# --- elements


def add(table: str, *elements: Element) -> None:
    """All of them or none. Adding one again changes nothing. OSError: one is there with other data, or there is
    no such table."""
    _commit(_NEWELEMENT, rtnetlink.CREATE, table, elements)


def remove(table: str, *elements: Element) -> None:
    """All of them or none. OSError, FileNotFoundError when one is not there."""
    _commit(_DELELEMENT, 0, table, elements)


def find(table: str, element: Element) -> Element | None:
    """As it is there, by its set and key. OSError."""
    found = _asked(rtnetlink.ACKNOWLEDGE, _named(table, element))
    return next((Element(element.set, _value(it[_KEY]), _value(it.get(_DATA, b""))) for it in found), None)


def get(table: str, element: Element) -> dict[IPv4Address, float | None]:
    """As `addresses`, with the one or none. OSError."""
    return _addresses(_expiring(_asked(rtnetlink.ACKNOWLEDGE, _named(table, element))))


def addresses(table: str, name: str) -> dict[IPv4Address, float | None]:
    """Each address in a set of them, with the seconds until it goes by itself; none without such a table.
    OSError."""
    return _addresses(keys(table, name))


def keys(table: str, name: str) -> dict[bytes, float | None]:
    """The same of a set of whatever it is. OSError."""
    return _expiring(_asked(rtnetlink.DUMP, _names(table, name)))


def _addresses(found: Mapping[bytes, float | None]) -> dict[IPv4Address, float | None]:
    return {IPv4Address(key): left for key, left in found.items()}


def _expiring(found: Iterator[Mapping[int, bytes]]) -> dict[bytes, float | None]:
    return {
        _value(it[_KEY]): int.from_bytes(it[_EXPIRES], "big") / 1000 if _EXPIRES in it else None for it in found
    }


def _asked(flags: int, body: bytes) -> Iterator[Mapping[int, bytes]]:
    with opened() as sock:
        sock.send(message(_GETELEMENT, flags, body, family=_INET))
        with suppress(FileNotFoundError):
            for answer in answers(sock):
                yield from _elements(answer)


def _commit(kind: int, flags: int, table: str, elements: Sequence[Element]) -> None:
    begin, end = (message(kind, 0, about=_TABLES) for kind in (_BEGIN, _END))
    # What fails answers for itself. What the last one answers, the kernel says when all is done.
    *others, last = (_named(table, element) for element in elements)
    changes = [message(kind, flags, body, family=_INET) for body in others]
    changes.append(message(kind, flags | rtnetlink.ACKNOWLEDGE, last, family=_INET))
    _close_used()
    sock = opened()
    try:
        sock.send(begin + b"".join(changes) + end)
        list(answers(sock))
    finally:
        _used.append((time.monotonic(), sock.detach()))


def _close_used() -> None:
    with suppress(IndexError):  # other threads do so, too
        while _used[0][0] < time.monotonic() - CLOSE_AFTER_SECONDS:
            os.close(_used.popleft()[1])


def _names(table: str, name: str) -> bytes:
    return rtnetlink.attributes({_ELEMENTS_TABLE: rtnetlink.text(table), _ELEMENTS_SET: rtnetlink.text(name)})


def _named(table: str, element: Element) -> bytes:
    parts = {_KEY: element.key, _DATA: element.data}
    values = {of | _IS_NESTED: rtnetlink.attributes({_VALUE: value}) for of, value in parts.items() if value}
    nested = rtnetlink.attributes({_ELEMENT | _IS_NESTED: rtnetlink.attributes(values)})
    return _names(table, element.set) + rtnetlink.attributes({_ELEMENTS | _IS_NESTED: nested})


def _elements(body: bytes) -> Iterator[Mapping[int, bytes]]:
    """The attributes of each."""
    data, at = _plain(body[_GENERIC.size :]).get(_ELEMENTS, b""), 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], sys.byteorder)
        yield _plain(data[at + 4 : at + length])
        at += length + -length % 4


def _value(nested: bytes) -> bytes:
    return _plain(nested).get(_VALUE, b"")


def answers(sock: socket.socket) -> Iterator[bytes]:
    """Up to the end of a dump or to the acknowledgement. OSError: what the kernel refused."""
    while True:
        for kind, body in rtnetlink.messages(sock.recv(rtnetlink.BUFFER)):
            if kind == rtnetlink.ERROR and (number := rtnetlink.failure(body)):
                raise OSError(number, os.strerror(number))
            if kind in (rtnetlink.DONE, rtnetlink.ERROR):
                return
            yield body


def _read(body: bytes) -> Chain | None:
    family = _FAMILIES.get(_GENERIC.unpack_from(body)[0])
    if family is None:
        return None
    found = _plain(body[_GENERIC.size :])
    hook = _plain(found[_HOOK])[_HOOKNUM] if _HOOK in found else None
    return Chain(
        family=family,
        table=_text(found[_TABLE]),
        name=_text(found[_NAME]),
        hook=int.from_bytes(hook, "big") if hook is not None else None,
        drops=not int.from_bytes(found.get(_POLICY, b"\1"), "big"),
    )


def _plain(data: bytes) -> dict[int, bytes]:
    return {kind & _NESTED: value for kind, value in rtnetlink.read_attributes(data).items()}


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()
