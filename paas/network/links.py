"""Links, addresses, routes and neighbours, by netlink: the only file that imports pyroute2.

Never `IPRoute(netns=…)`, which forks: a socket that a thread opens after setns(2) belongs to that
network namespace for good, and a thread is cheap.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from paas.errors import Conflict, HostProblem
from paas.network import addresses

IFF_UP, IFF_NOARP = 0x1, 0x80  # linux/if.h
NUD_PERMANENT = 0x80  # linux/neighbour.h
RTNH_F_ONLINK = 0x4  # linux/rtnetlink.h
SCOPE_LINK, SCOPE_HOST = 253, 254
PROTO_STATIC = 4
MAIN_TABLE = 254
CLONE_NEWNET = 0x40000000
INSIDE = "eth0"
LOOPBACK = 1

_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair:
    """A container's veth pair: `name` is the host's end, the other one is `eth0` inside."""

    name: str
    address: IPv4Address
    source: IPv4Address  # the host's address towards the container
    label: str  # kept as the link's alias


@contextmanager
def problems_with(what: str) -> Iterator[None]:
    """Turn netlink's and the kernel's errors into Berth's."""
    try:
        yield
    except (NetlinkError, OSError) as error:
        number = error.code if isinstance(error, NetlinkError) else (error.errno or 0)
        reason = os.strerror(number) if number else str(error)
        raise HostProblem(
            f"cannot {what}: {reason}",
            hint="the machine's log (dmesg) may say more",
            details={"errno": errno.errorcode.get(number, str(number))},
            retryable=True,
        ) from error


def join_host(pair: Pair, netns: int) -> None:
    """Make the pair, its peer straight in the container's network namespace, and wire up the host's end.

    The peer stays down until `join_container`, so that the host's end has no carrier, and IPv6 no
    chance to speak, before its sysctls are set. Raises Conflict where another link has the address.
    """
    peer = {"ifname": INSIDE, "net_ns_fd": netns, "address": addresses.container_mac(pair.address)}
    mac = addresses.host_mac(pair.address)
    with IPRoute() as ip:
        ip.link("add", ifname=pair.name, kind="veth", address=mac, peer=peer)
        index = socket.if_nametoindex(pair.name)
        ip.link("set", index=index, ifalias=pair.label, flags=IFF_UP | IFF_NOARP, change=IFF_UP | IFF_NOARP)
        _set_host_sysctls(pair.name)
        _add_neighbour(ip, index, pair.address, addresses.container_mac(pair.address))
        _add_route(ip, index, pair)


def _add_route(ip: Any, index: int, pair: Pair) -> None:
    try:
        ip.route(
            "add",
            dst=f"{pair.address}/32",
            oif=index,
            scope=SCOPE_LINK,
            proto=PROTO_STATIC,
            prefsrc=str(pair.source),
        )
    except NetlinkError as error:
        if error.code == errno.EEXIST:
            raise Conflict(
                f"address {pair.address} belongs to a running container",
                hint="give this container another address",
            ) from error
        raise


def join_container(pair: Pair, netns: int) -> Future[None]:
    """Start wiring up the container's end: `eth0` with its /32, and everything else by the gateway."""
    return within(netns, lambda: _join_from_inside(pair))


def is_joined(netns: int) -> bool:
    """Did `join_container` reach its end there? The default route is the last thing that it makes."""
    return within(netns, _has_default_route).result()


def _has_default_route() -> bool:
    with IPRoute() as ip:
        return any(route["dst_len"] == 0 for route in ip.get_routes(family=socket.AF_INET, table=MAIN_TABLE))


def _join_from_inside(pair: Pair) -> None:
    _write_sysctl(f"ipv6/conf/{INSIDE}/disable_ipv6", "1")
    index = socket.if_nametoindex(INSIDE)
    with IPRoute() as ip:
        ip.link("set", index=LOOPBACK, flags=IFF_UP, change=IFF_UP)
        ip.addr("add", index=index, address=str(pair.address), prefixlen=32)
        ip.link("set", index=index, flags=IFF_UP | IFF_NOARP, change=IFF_UP | IFF_NOARP)
        _add_neighbour(ip, index, addresses.GATEWAY, addresses.host_mac(pair.address))
        ip.route(
            "add",
            dst="0.0.0.0/0",
            gateway=str(addresses.GATEWAY),
            oif=index,
            flags=RTNH_F_ONLINK,
            proto=PROTO_STATIC,
        )


def _add_neighbour(ip: Any, index: int, address: IPv4Address, mac: str) -> None:
    # Permanent entries do not count against net.ipv4.neigh.default.gc_thresh3, which is 1,024 for the
    # machine with all of its network namespaces.
    ip.neigh("replace", dst=str(address), lladdr=mac, ifindex=index, state=NUD_PERMANENT)


def _set_host_sysctls(interface: str) -> None:
    _write_sysctl(f"ipv6/conf/{interface}/disable_ipv6", "1")
    _write_sysctl(f"ipv4/conf/{interface}/rp_filter", "1")
    _write_sysctl(f"ipv4/conf/{interface}/send_redirects", "0")


def _write_sysctl(name: str, value: str) -> None:
    """Write in the calling thread's network namespace: /proc/sys/net shows each thread its own."""
    try:
        descriptor = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if name.startswith("ipv6/"):  # a kernel that was started with ipv6.disable=1
            return
        raise
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def within(netns: int, action: Callable[[], T]) -> Future[T]:
    """Start `action` in a thread of its own that has moved to the network namespace `netns` (a descriptor)."""

    def enter() -> T:
        if _libc.setns(netns, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        return action()

    thread = ThreadPoolExecutor(1, thread_name_prefix="netns")
    try:
        return thread.submit(enter)
    finally:
        thread.shutdown(wait=False)  # takes no more work, and ends after this one


def delete_link(name: str) -> None:
    """Delete a link, and by that its peer, route and neighbour. No link is fine."""
    try:
        index = socket.if_nametoindex(name)
    except OSError:  # it has no errno, and only one meaning
        return
    with IPRoute() as ip:
        _ignoring_absence(lambda: ip.link("del", index=index))  # its namespace may end meanwhile


def labels() -> dict[str, str]:
    """The alias of each link that has one, by name."""
    with IPRoute() as ip:
        links = [(link.get_attr("IFLA_IFNAME"), link.get_attr("IFLA_IFALIAS")) for link in ip.get_links()]
    return {name: alias for name, alias in links if alias}


def keep_within(prefix: IPv4Network, host_address: IPv4Address) -> None:
    """Cover the whole prefix by a blackhole, first of all; give the host its address there."""
    with IPRoute() as ip:
        ip.route("replace", dst=str(prefix), type="blackhole", proto=PROTO_STATIC)
        ip.addr("replace", index=LOOPBACK, address=str(host_address), prefixlen=32, scope=SCOPE_HOST)


def let_go(prefix: IPv4Network, host_address: IPv4Address) -> None:
    """Undo `keep_within`; not there is fine."""
    with IPRoute() as ip:
        _ignoring_absence(lambda: ip.addr("del", index=LOOPBACK, address=str(host_address), prefixlen=32))
        _ignoring_absence(lambda: ip.route("del", dst=str(prefix), type="blackhole"))


def _ignoring_absence(action: Callable[[], object]) -> None:
    try:
        action()
    except NetlinkError as error:
        if error.code not in (errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL):
            raise


def routes_inside(prefix: IPv4Network) -> dict[IPv4Network, str | None]:
    """Routes of the main table to the prefix or parts of it, each with its interface's name."""
    found: dict[IPv4Network, str | None] = {}
    with IPRoute() as ip:
        for route in ip.get_routes(family=socket.AF_INET, table=MAIN_TABLE):
            target, index = route.get_attr("RTA_DST"), route.get_attr("RTA_OIF")
            network = IPv4Network(f"{target}/{route['dst_len']}") if target else None
            if network and network.subnet_of(prefix):
                found[network] = socket.if_indextoname(index) if index else None
    return found
