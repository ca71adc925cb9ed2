"""Which DNS servers containers ask, and the /etc/resolv.conf that tells them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

HOST_FILES = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")
AT_MOST = 3  # MAXNS of resolv.conf(5)


def resolv_conf(resolvers: Sequence[IPv4Address]) -> str:
    """The text of a container's /etc/resolv.conf: no search domain of the host's gets in."""
    servers = "".join(f"nameserver {address}\n" for address in resolvers[:AT_MOST])
    return f"{servers}options timeout:2 attempts:2\n"


def host_resolvers(paths: Iterable[str | Path] = HOST_FILES) -> tuple[IPv4Address, ...]:
    """The IPv4 resolvers in the first of `paths` that names any which a container could reach.

    A stub on loopback (systemd-resolved's 127.0.0.53) is skipped: inside a container that is its own loopback.
    """
    for path in paths:
        try:
            text = Path(path).read_text()
        except FileNotFoundError:
            continue
        if found := _reachable(text):
            return found
    return ()


def _reachable(text: str) -> tuple[IPv4Address, ...]:
    found: list[IPv4Address] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = IPv4Address(words[1])
        except AddressValueError:  # IPv6, which containers do not speak
            continue
        if not (address.is_loopback or address.is_unspecified or address in found):
            found.append(address)
    return tuple(found[:AT_MOST])
