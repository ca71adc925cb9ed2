"""Names and numbers of the container network: pure, all derived from the container's id and address.

The first 16 addresses of the prefix are the host's: 0 is the network, 1 the host's own address towards
containers (what an app sees as its peer), the others are spare. The last quarter belongs to services, so that a
rule can tell their addresses from containers'; its last one is the broadcast address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from paas.errors import BadInput

RESERVED = 16
LONGEST = 26  # a prefix has room for some containers and some services
# Every container's gateway. Nobody owns it: the container has a permanent neighbour entry for it, and the
# host, which routes whatever arrives by that veth, never answers at this address itself.
GATEWAY = IPv4Address("169.254.1.1")

_ID = re.compile(r"[0-9a-f]{12}")


def address_of(prefix: IPv4Network, offset: int) -> IPv4Address:
    """The address of a container whose row holds `offset`."""
    if offset not in offsets(prefix):
        raise BadInput(
            f"address offset {offset} is outside of {prefix}",
            hint=f"offsets go from {RESERVED} to {offsets(prefix)[-1]}",
        )
    return prefix[offset]


def offset_of(prefix: IPv4Network, address: IPv4Address) -> int:
    """The offset to keep in a row for `address`: the inverse of `address_of`."""
    offset = int(address) - int(prefix.network_address)
    if offset not in offsets(prefix):
        raise BadInput(f"{address} is no container address of {prefix}")
    return offset


def offsets(prefix: IPv4Network) -> range:
    """Every offset that a container may have."""
    if prefix.prefixlen > LONGEST:
        raise BadInput(f"container prefix {prefix} has no room", hint=f"use a prefix of /{LONGEST} or shorter")
    return range(RESERVED, prefix.num_addresses // 4 * 3)


def services(prefix: IPv4Network) -> IPv4Network:
    """Where the addresses of services are: nothing has one, the rules lead from there to containers."""
    return tuple(prefix.subnets(prefixlen_diff=2))[-1]


def service_offsets(prefix: IPv4Network) -> range:
    """Every offset that a service may have."""
    return range(offsets(prefix).stop, prefix.num_addresses - 1)


def service_address(prefix: IPv4Network, offset: int) -> IPv4Address:
    """The address of a service whose row holds `offset`."""
    if offset not in service_offsets(prefix):
        raise BadInput(f"address offset {offset} is no service's in {prefix}")
    return prefix[offset]


def host_address(prefix: IPv4Network) -> IPv4Address:
    """The host's address towards every container: readiness checks and Caddy come from it."""
    return prefix[1]


def interface_of(name_prefix: str, container_id: str) -> str:
    """The host's end of a container's veth pair: 14 of the 15 bytes that the kernel allows."""
    if not _ID.fullmatch(container_id):
        raise BadInput(f"{container_id!r} is no container id")
    return f"{name_prefix}{container_id}"


def containers_among(name_prefix: str, interfaces: Iterable[str]) -> set[str]:
    """The container ids whose host interfaces are among `interfaces`."""
    names = (name.removeprefix(name_prefix) for name in interfaces if name.startswith(name_prefix))
    return {name for name in names if _ID.fullmatch(name)}


def host_mac(address: IPv4Address) -> str:
    return _mac(b"\xb2\x00", address)


def container_mac(address: IPv4Address) -> str:
    return _mac(b"\xb2\x01", address)


def _mac(head: bytes, address: IPv4Address) -> str:
    return ":".join(f"{byte:02x}" for byte in head + address.packed)  # 0xb2: local, unicast
