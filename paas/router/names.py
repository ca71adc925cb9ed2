"""What may be a host or an upstream: plain names only. Caddy would expand patterns and placeholders, and dial
sockets of the host, where it finds their syntax; and a host becomes the name of a folder."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address

from paas.errors import BadInput

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")


def host(text: str) -> str:
    """In lower case. Errors: BadInput."""
    name = text.lower()
    if not _HOST.fullmatch(name):
        raise BadInput(f"{text!r} is no host name", hint="use letters, digits, hyphens and dots")
    return name


def upstream(text: str) -> str:
    """Errors: BadInput."""
    address, _, port = text.rpartition(":")
    try:
        if f"{IPv4Address(address)}:{int(port)}" == text and 0 < int(port) < 65_536:
            return text
    except (AddressValueError, ValueError):
        pass
    raise BadInput(
        f"{text!r} is no upstream", hint='an upstream is an IPv4 address and a port: "10.0.0.1:8000"'
    )
