"""nfnetlink(7), as much of it as we need: every chain of nftables. The library reads all rules and sets to name
them, which takes half a second where there are many tenants."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from paas.network import rtnetlink
from paas.network.rtnetlink import HEADER

# linux/netlink.h, linux/netfilter/nfnetlink.h, nf_tables.h; linux/netfilter.h
_PROTOCOL = 12
_GETCHAIN = 10 << 8 | 4
_TABLE, _NAME, _HOOK, _POLICY = 1, 3, 4, 5
_HOOKNUM = 1
FORWARD = 2
_FAMILIES = {1: "inet", 2: "ip"}
_GENERIC = struct.Struct("=BBH")  # family, version, resource id
_NESTED = 0x3FFF  # the type of an attribute, without its flags


@dataclass(frozen=True, slots=True)
class Chain:
    """`hook` is where it is called from, None for one that only others go to."""

    family: str
    table: str
    name: str
    hook: int | None
    drops: bool  # by its policy


def chains() -> list[Chain]:
    """Of the families inet and ip, in the calling thread's network namespace. OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _PROTOCOL) as sock:
        sock.settimeout(rtnetlink.TIMEOUT_SECONDS)
        length = HEADER.size + _GENERIC.size
        flags = rtnetlink.REQUEST | rtnetlink.DUMP
        sock.send(HEADER.pack(length, _GETCHAIN, flags, 0, 0) + _GENERIC.pack(socket.AF_UNSPEC, 0, 0))
        return [chain for body in _dumped(sock) if (chain := _read(body))]


def _dumped(sock: socket.socket) -> Iterator[bytes]:
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
