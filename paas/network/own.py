"""The networks that this machine is part of: what is beside it there mostly takes it for one of its own."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Network, collapse_addresses
from pathlib import Path

from paas.network.plan import PRIVATE

ROUTES = Path("/proc/net/route")  # of the main table, proc(5)
_UP, _GATEWAY = 0x0001, 0x0002  # route(7)
_BLACKHOLE = "*"  # in place of an interface
_WIDEST = 8
_ONE_ADDRESS = 0xFFFFFFFF  # a container's, or that of the other end of a tunnel


def own_networks(routes: Path = ROUTES) -> tuple[IPv4Network, ...]:
    """Those of now that are reached without a gateway, but what is closed to containers in any case. Where half
    of all addresses are, by the route of a tunnel, that is the internet."""
    found = (network for network in _direct(routes.read_text()) if network.prefixlen >= _WIDEST)
    return tuple(network for network in collapse_addresses(found) if not any(map(network.subnet_of, PRIVATE)))


def _direct(text: str) -> Iterator[IPv4Network]:
    for line in text.splitlines()[1:]:
        interface, destination, _, flags, *_, mask = line.split()[:8]
        is_direct = int(flags, 16) & (_UP | _GATEWAY) == _UP and interface != _BLACKHOLE
        if is_direct and int(mask, 16) not in (0, _ONE_ADDRESS):
            yield IPv4Network((_dotted(destination), _dotted(mask)))


def _dotted(number: str) -> str:
    """The kernel prints what the four bytes are as a number of this machine's."""
    return socket.inet_ntoa(struct.pack("=I", int(number, 16)))
