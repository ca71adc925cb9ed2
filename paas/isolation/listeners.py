"""Who listens for the network, from /proc/net: pure but for `read`. Formats: proc_net_tcp.rst of the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

PROC = Path("/proc")
_LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}  # TCP_LISTEN; of UDP: bound to nobody


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that waits for packets. `inode` is what a descriptor of it is called."""

    inode: int
    address: IPv4Address | IPv6Address
    port: int

    @property
    def is_loopback(self) -> bool:
        mapped = self.address.ipv4_mapped if isinstance(self.address, IPv6Address) else None
        return (mapped or self.address).is_loopback

    def __str__(self) -> str:
        host = f"[{self.address}]" if isinstance(self.address, IPv6Address) else str(self.address)
        return f"{host}:{self.port}"


def parse(kind: str, text: str) -> list[Listener]:
    """Of a /proc/net/tcp, tcp6, udp or udp6."""
    rows = (line.split() for line in text.splitlines()[1:])
    return [Listener(int(row[9]), *_place(row[1])) for row in rows if row[3] == _LISTENS[kind]]


def _place(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """Words of four bytes each, as a little machine keeps them."""
    address, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
    return (IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)), int(port, 16)


def read() -> list[Listener]:
    """All in this network namespace."""
    found = []
    for kind in _LISTENS:
        with suppress(FileNotFoundError):  # a kernel without IPv6
            found += parse(kind, (PROC / "thread-self" / "net" / kind).read_text())
    return found


def by_process(pids: Iterable[int], found: Iterable[Listener]) -> Mapping[int, tuple[Listener, ...]]:
    """Process -> those that it holds."""
    known = {f"socket:[{listener.inode}]": listener for listener in found}
    return {pid: tuple(known[name] for name in _descriptors(pid) if name in known) for pid in pids}


def _descriptors(pid: int) -> Iterable[str]:
    names = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for file in (PROC / str(pid) / "fd").iterdir():
            with suppress(FileNotFoundError):
                names.add(str(file.readlink()))
    return names
