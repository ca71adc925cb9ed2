"""What an address names that builds do not reach, told before anybody is asked for the checksum of it. Pure.

Only what the address itself says: where a name leads, and what redirects do, is decided when it is fetched, by
the rules of the network.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult

OPENED = "a private network, which builds reach only where the administrator has opened it"


def out_of_reach(parts: SplitResult) -> str:
    """Why it cannot be fetched, OPENED where that depends, "" where nothing speaks against it."""
    host = (parts.hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return "this machine, which builds do not reach"
    address = _number(host)
    if address is None:
        return ""
    if address.is_loopback or address.is_unspecified:
        return "this machine, which builds do not reach"
    if address.is_link_local or address.is_multicast or address.is_reserved:
        return "no address of the internet, and builds do not reach it"
    return "" if address.is_global else OPENED


def _number(host: str) -> IPv4Address | IPv6Address | None:
    with suppress(OSError, ValueError):  # inet_aton(3) knows 127.1 and 0x7f000001, too, as curl does
        return ip_address(socket.inet_aton(host))
    with suppress(ValueError):
        return ip_address(host)
    return None
