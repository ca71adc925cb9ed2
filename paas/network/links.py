"""Links, addresses, routes and neighbours of the host and of a container, by rtnetlink."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from paas.errors import Conflict, HostProblem
from paas.network import addresses, rtnetlink
from paas.network.rtnetlink import CREATE, EXCLUSIVE, REPLACE, Request

IFF_UP, IFF_NOARP = 0x1, 0x80  # linux/if.h
IFLA_ADDRESS, IFLA_IFNAME, IFLA_OPERSTATE = 1, 3, 16  # linux/if_link.h
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_NET_NS_FD = 18, 20, 28
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1  # linux/if_link.h, linux/veth.h
IFA_ADDRESS, IFA_LOCAL = 1, 2  # linux/if_addr.h
NDA_DST, NDA_LLADDR, NUD_PERMANENT = 1, 2, 0x80  # linux/neighbour.h
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC = 1, 4, 5, 7  # linux/rtnetlink.h, and down to MAIN_TABLE
RTN_UNICAST, RTN_BLACKHOLE = 1, 6
RTNH_F_ONLINK = 0x4
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_HOST = 0, 253, 254
PROTO_STATIC = 4
MAIN_TABLE = 254
CLONE_NEWNET = 0x40000000
OPERSTATE_UP = b"\x06"  # RFC 2863, linux/if.h
INSIDE = "eth0"
ACTIVE_SECONDS = 10.0  # a link is active a millisecond after both ends are up, or something is wrong
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
    """Turn the kernel's errors into Berth's."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        raise HostProblem(
            f"cannot {what}: {error.strerror or error}",
            hint="the machine's log (dmesg) may say more",
            details={"errno": errno.errorcode.get(number, str(number))},
            retryable=True,
        ) from error


def join_host(pair: Pair, netns: int) -> None:
    """Make the pair, its peer straight in the container's network namespace, and wire up the host's end.

    The peer stays down until `join_container`, so that the host's end has no carrier, and IPv6 no
    chance to speak, before its sysctls are set. Raises Conflict where another link has the address.
    """
    rtnetlink.send(Request(rtnetlink.NEWLINK, CREATE | EXCLUSIVE, _veth(pair, netns)))
    index = socket.if_nametoindex(pair.name)
    _set_host_sysctls(pair.name)
    alias = {IFLA_IFALIAS: rtnetlink.text(pair.label)}
    try:
        rtnetlink.send(
            Request(rtnetlink.SETLINK, 0, rtnetlink.link(alias, index=index, flags=IFF_UP | IFF_NOARP)),
            _add_neighbour(index, pair.address, addresses.container_mac(pair.address)),
            _add_route(index, pair),
        )
    except FileExistsError as error:  # of these, a route alone can be there
        raise Conflict(
            f"address {pair.address} belongs to a running container", hint="give this container another address"
        ) from error


def _veth(pair: Pair, netns: int) -> bytes:
    # The kernel would have one of each for every processor, but uses only the first (veth_init_queues in
    # drivers/net/veth.c).
    queues = {IFLA_NUM_TX_QUEUES: rtnetlink.number(1), IFLA_NUM_RX_QUEUES: rtnetlink.number(1)}
    peer = {
        **queues,
        IFLA_IFNAME: rtnetlink.text(INSIDE),
        IFLA_ADDRESS: rtnetlink.mac(addresses.container_mac(pair.address)),
        IFLA_NET_NS_FD: rtnetlink.number(netns),
    }
    info = {
        IFLA_INFO_KIND: rtnetlink.text("veth"),
        IFLA_INFO_DATA: rtnetlink.attributes({VETH_INFO_PEER: rtnetlink.link(peer)}),
    }
    own = {
        **queues,
        IFLA_IFNAME: rtnetlink.text(pair.name),
        IFLA_ADDRESS: rtnetlink.mac(addresses.host_mac(pair.address)),
        IFLA_LINKINFO: rtnetlink.attributes(info),
    }
    return rtnetlink.link(own)


def _add_route(index: int, pair: Pair) -> Request:
    values = {
        RTA_DST: pair.address.packed,
        RTA_OIF: rtnetlink.number(index),
        RTA_PREFSRC: pair.source.packed,
    }
    body = rtnetlink.route(values, length=32, protocol=PROTO_STATIC, scope=SCOPE_LINK, kind=RTN_UNICAST)
    return Request(rtnetlink.NEWROUTE, CREATE | EXCLUSIVE, body)


def join_container(pair: Pair, netns: int) -> None:
    """Wire up the container's end: `eth0` with its /32, and everything else by the gateway. Both ends can send
    and receive then.
    """
    inside = within(netns, lambda: _join_from_inside(pair))
    inside.result()
    _wait_until_active(socket.if_nametoindex(pair.name))


def is_joined(netns: int) -> bool:
    """Did `join_container` reach its end there? The default route is the last thing that it makes."""
    return within(netns, _has_default_route).result()


def _has_default_route() -> bool:
    return any(route.length == 0 and route.table == MAIN_TABLE for route in rtnetlink.routes())


def _join_from_inside(pair: Pair) -> None:
    _write_sysctl(f"ipv6/conf/{INSIDE}/disable_ipv6", "1")
    # While a listener has no room, a cookie would stand for a caller. The kernel knows it again in the first
    # packet of data only, and answers the next one by a reset (cookie_v4_check): a large body would be lost.
    # Without cookies a SYN is dropped, and sent again. No flood comes in here but from the tenant itself.
    _write_sysctl("ipv4/tcp_syncookies", "0")
    index = socket.if_nametoindex(INSIDE)
    rtnetlink.send(
        Request(rtnetlink.SETLINK, 0, rtnetlink.link({}, index=LOOPBACK, flags=IFF_UP)),
        _add_address(index, pair.address),
        Request(rtnetlink.SETLINK, 0, rtnetlink.link({}, index=index, flags=IFF_UP | IFF_NOARP)),
        _add_neighbour(index, addresses.GATEWAY, addresses.host_mac(pair.address)),
        _add_default_route(index),
    )
    _wait_until_active(index)


def _wait_until_active(index: int) -> None:
    """A link that has come up drops what it is given until the kernel's link watch has been there (dev_activate
    in net/sched/sch_generic.c): a first SYN would be sent again after a second. The watch holds the lock that
    our question takes, and sets the state before it lets go. TimeoutError when it never comes.
    """
    end = time.monotonic() + ACTIVE_SECONDS
    while rtnetlink.link_attributes(index)[IFLA_OPERSTATE] != OPERSTATE_UP:
        if time.monotonic() > end:
            raise TimeoutError(errno.ETIMEDOUT, "its link does not come up")
        time.sleep(0.0005)


def _add_address(
    index: int, address: IPv4Address, *, scope: int = SCOPE_UNIVERSE, again: int = EXCLUSIVE
) -> Request:
    values = {IFA_LOCAL: address.packed, IFA_ADDRESS: address.packed}
    body = rtnetlink.address(values, index=index, length=32, scope=scope)
    return Request(rtnetlink.NEWADDR, CREATE | again, body)


def _add_neighbour(index: int, address: IPv4Address, mac: str) -> Request:
    # Permanent entries do not count against net.ipv4.neigh.default.gc_thresh3, which is 1,024 for the
    # machine with all of its network namespaces.
    values = {NDA_DST: address.packed, NDA_LLADDR: rtnetlink.mac(mac)}
    body = rtnetlink.neighbour(values, index=index, state=NUD_PERMANENT)
    return Request(rtnetlink.NEWNEIGH, CREATE | REPLACE, body)


def _add_default_route(index: int) -> Request:
    values = {RTA_GATEWAY: addresses.GATEWAY.packed, RTA_OIF: rtnetlink.number(index)}
    body = rtnetlink.route(
        values, length=0, protocol=PROTO_STATIC, scope=SCOPE_UNIVERSE, kind=RTN_UNICAST, flags=RTNH_F_ONLINK
    )
    return Request(rtnetlink.NEWROUTE, CREATE | EXCLUSIVE, body)


def _set_host_sysctls(interface: str) -> None:
    _write_sysctl(f"ipv6/conf/{interface}/disable_ipv6", "1")
    _write_sysctl(f"ipv4/conf/{interface}/rp_filter", "1")
    _write_sysctl(f"ipv4/conf/{interface}/send_redirects", "0")


def _write_sysctl(name: str, value: str) -> None:
    """Write in the calling thread's network namespace: /proc/sys/net shows each thread its own."""
    try:
        descriptor = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if name.startswith("ipv6/") or name == "ipv4/tcp_syncookies":
            return  # a kernel that was started with ipv6.disable=1, or that knows no such cookies
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


def exists(name: str) -> bool:
    return _index(name) is not None


def delete_link(name: str) -> None:
    """Delete a link, and by that its peer, route and neighbour. No link is fine."""
    index = _index(name)
    if index is not None:
        with _absence_is_fine():  # its namespace may end meanwhile
            rtnetlink.send(Request(rtnetlink.DELLINK, 0, rtnetlink.link({}, index=index)))


def _index(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:  # it has no errno, and only one meaning
        return None


def labels() -> dict[str, str]:
    """The alias of each link that has one, by name."""
    return {
        _text(link[IFLA_IFNAME]): _text(link[IFLA_IFALIAS])
        for link in rtnetlink.links()
        if IFLA_IFALIAS in link
    }


def set_label(name: str, label: str) -> None:
    """A link that is gone by now is fine."""
    index = _index(name)
    if index is not None:
        alias = {IFLA_IFALIAS: rtnetlink.text(label)}
        with _absence_is_fine():
            rtnetlink.send(Request(rtnetlink.SETLINK, 0, rtnetlink.link(alias, index=index)))


def keep_within(prefix: IPv4Network, host_address: IPv4Address) -> None:
    """Cover the whole prefix by a blackhole, first of all; give the host its address there."""
    rtnetlink.send(Request(rtnetlink.NEWROUTE, CREATE | REPLACE, _blackhole(prefix)))
    rtnetlink.send(_add_address(LOOPBACK, host_address, scope=SCOPE_HOST, again=REPLACE))


def let_go(prefix: IPv4Network, host_address: IPv4Address) -> None:
    """Undo `keep_within`; not there is fine."""
    values = {IFA_LOCAL: host_address.packed, IFA_ADDRESS: host_address.packed}
    with _absence_is_fine():
        rtnetlink.send(Request(rtnetlink.DELADDR, 0, rtnetlink.address(values, index=LOOPBACK, length=32)))
    with _absence_is_fine():
        rtnetlink.send(Request(rtnetlink.DELROUTE, 0, _blackhole(prefix)))


def _blackhole(prefix: IPv4Network) -> bytes:
    values = {RTA_DST: prefix.network_address.packed}
    return rtnetlink.route(
        values, length=prefix.prefixlen, protocol=PROTO_STATIC, scope=SCOPE_UNIVERSE, kind=RTN_BLACKHOLE
    )


@contextmanager
def _absence_is_fine() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL):
            raise


def others_inside(prefix: IPv4Network, own: str) -> Iterator[tuple[str, IPv4Network]]:
    """Interfaces whose names do not begin with `own`, and to where inside the prefix the main table has them
    lead."""
    for route in rtnetlink.routes():
        if route.table == MAIN_TABLE and _is_inside(prefix, route):
            name = _name_of(_interface(route))
            if name is not None and not name.startswith(own):
                yield name, IPv4Network((route.attributes[RTA_DST], route.length))


def _name_of(index: int) -> str | None:
    """One by one: of a list (if_nameindex(3)) the kernel makes all there is to know of each, 20 us.

    None for none, which a blackhole has, and where it is gone by now."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return None


def _is_inside(prefix: IPv4Network, route: rtnetlink.Route) -> bool:
    """Without an object for each: there is a route for every container."""
    begin = int.from_bytes(route.attributes.get(RTA_DST, b""), "big")
    return route.length >= prefix.prefixlen and begin & int(prefix.netmask) == int(prefix.network_address)


def _interface(route: rtnetlink.Route) -> int:
    return int.from_bytes(route.attributes.get(RTA_OIF, b""), sys.byteorder)


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()
