"""What a tenant with root inside its container tries against its neighbours, the host and the networks around.

Every refusal has its control: the same attempt where it is allowed, so that a test cannot pass by a typing
error. One small world serves the whole file: two tenants, the host, and an outside behind the host's uplink.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.network.conftest import PREFIX, Peer
from tests.network.world import ALLOWED, MAIL, PRIVATE, PUBLIC, RESOLVER, UPLINK, World, ip, world

__all__ = ["world"]

pytestmark = pytest.mark.kernel


def _greet(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # closed
            return
        with connection:
            connection.sendall(b"host")


@pytest.fixture
def host_port() -> Iterator[int]:
    """A service of the host on all of its addresses, as SSH or a careless database would be."""
    with socket.create_server(("", 0)) as server:
        thread = threading.Thread(target=_greet, args=[server])
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def without(world: World, *chains: str) -> Iterator[None]:
    """Try the same without some chains: the control of what they forbid."""
    for chain in chains:
        subprocess.run(["nft", f"flush chain inet bxberth {chain}"], check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete table inet bxberth"], check=True)
        world.network.apply_base()


@pytest.fixture(autouse=True)
def still_connected(world: World) -> Iterator[None]:
    """What a test bent is straight again: else the next ones would find everything closed, and pass."""
    yield
    for peer in (world.ours, world.ours_too, world.theirs):
        assert peer("tcp", PUBLIC, 80) == UPLINK


def restore_gateway(peer: Peer, mac: str) -> None:
    """The kernel forgets neighbours, permanent ones too, when a link's address or its ARP flag changes."""
    peer("run", "ip", "neighbour", "replace", "169.254.1.1", "lladdr", mac, "dev", "eth0")


# --- what must work


def test_the_host_reaches_the_container(world: World) -> None:
    with socket.create_connection((str(PREFIX[16]), 8000), timeout=1) as sock:
        assert sock.recv(100) == str(PREFIX[1]).encode()


def test_the_host_hears_at_once_that_a_port_is_closed(world: World) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((str(PREFIX[16]), 8001), timeout=1)


def test_the_public_internet_sees_the_hosts_address(world: World) -> None:
    assert world.ours("tcp", PUBLIC, 80) == UPLINK
    assert world.ours("udp", PUBLIC, 9000) == UPLINK


def test_resolvers_answer_on_port_53_only(world: World) -> None:
    assert world.ours("udp", RESOLVER, 53) == UPLINK
    assert world.ours("tcp", RESOLVER, 53) == UPLINK
    assert world.ours("tcp", RESOLVER, 80) == "TimeoutError"


def test_a_private_network_that_the_operator_allows(world: World) -> None:
    assert world.ours("tcp", ALLOWED, 80) == UPLINK


def test_loopback_inside_is_the_containers_own(world: World) -> None:
    assert world.ours("tcp", "127.0.0.1", 8000) == "127.0.0.1"


# --- out of the machine


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_are_closed(world: World, address: str) -> None:
    assert world.ours("tcp", address, 80) == "TimeoutError"
    with socket.create_connection((address, 80), timeout=1):
        pass  # control: the host itself gets there


def test_mail_is_closed(world: World) -> None:
    assert world.ours("tcp", MAIL, 25) == "TimeoutError"
    assert world.ours("tcp", ALLOWED, 25) == "TimeoutError"
    assert world.ours("tcp", MAIL, 80) == UPLINK


def test_an_outsider_cannot_open_a_connection(world: World) -> None:
    assert world.outside("tcp", str(PREFIX[16]), 8000) == "TimeoutError"
    assert world.outside("tcp", str(PREFIX[1]), 8000) == "ConnectionRefusedError"  # control: the way is there


def test_spoofed_sources_never_leave(world: World) -> None:
    for source in (str(PREFIX[18]), str(PREFIX[99]), "192.0.2.7", UPLINK, "127.0.0.1"):
        assert world.ours("raw_udp", source, PUBLIC, 9000) == "sent"
    assert world.ours("raw_udp", str(PREFIX[16]), PUBLIC, 9000) == "sent"
    assert world.ours("udp", PUBLIC, 9000) == UPLINK  # later than all of them
    claims = [text for text in world.outside("has_heard") if "claims" in text]
    assert set(claims) == {f"claims to be {PREFIX[16]}"}


def test_an_address_of_ones_own_choice_gets_nowhere(world: World) -> None:
    world.ours("run", "ip", "address", "add", "10.208.0.200/32", "dev", "eth0")
    assert world.ours("udp", PUBLIC, 9000, "10.208.0.200") == "TimeoutError"
    assert world.ours("udp", PUBLIC, 9000, "10.208.0.16") == UPLINK


def test_another_containers_mac_address_gains_nothing(world: World) -> None:
    world.ours_too("run", "ip", "link", "set", "eth0", "address", "b2:01:0a:d0:00:12")
    restore_gateway(world.ours_too, "b2:00:0a:d0:00:11")
    try:
        assert world.ours_too("raw_udp", str(PREFIX[18]), PUBLIC, 9000) == "sent"
        assert f"claims to be {PREFIX[18]}" not in world.outside("has_heard")
        with socket.create_connection((str(PREFIX[18]), 8000), timeout=1) as sock:
            assert sock.recv(100) == str(PREFIX[1]).encode()  # their traffic is still theirs
    finally:
        world.ours_too("run", "ip", "link", "set", "eth0", "address", "b2:01:0a:d0:00:11")
        restore_gateway(world.ours_too, "b2:00:0a:d0:00:11")


def test_the_host_answers_no_arp(world: World) -> None:
    world.ours("run", "ip", "link", "set", "eth0", "arp", "on")
    try:
        world.ours("run", "ip", "route", "add", UPLINK, "dev", "eth0")
        world.ours("tcp", UPLINK, 22)
        neighbours = world.ours("run", "ip", "neighbour", "show", UPLINK)
        assert "FAILED" in neighbours or "INCOMPLETE" in neighbours
    finally:
        world.ours("run", "ip", "route", "del", UPLINK, "dev", "eth0")
        world.ours("run", "ip", "link", "set", "eth0", "arp", "off")
        restore_gateway(world.ours, "b2:00:0a:d0:00:10")


def test_a_dead_containers_address_leads_nowhere(world: World) -> None:
    capture = world.outside("has_heard")
    assert world.ours("tcp", str(PREFIX[500]), 80) == "TimeoutError"
    with pytest.raises(OSError, match="Invalid argument"):  # what a blackhole says to the host's own
        socket.create_connection((str(PREFIX[500]), 80), timeout=1)
    assert world.outside("has_heard") == capture


# --- neighbours


def test_another_tenants_container_is_out_of_reach(world: World) -> None:
    assert world.ours("tcp", str(PREFIX[18]), 8000) == "TimeoutError"
    assert str(PREFIX[16]) not in world.theirs("has_heard")


def test_so_is_another_container_of_ones_own_by_its_address(world: World) -> None:
    assert world.ours("tcp", str(PREFIX[17]), 8000) == "TimeoutError"


# --- the host


@pytest.mark.parametrize("address", [UPLINK, str(PREFIX[1]), "169.254.1.1"])
def test_the_hosts_services_are_out_of_reach(world: World, host_port: int, address: str) -> None:
    assert world.ours("tcp", address, host_port) == "TimeoutError"


def test_they_are_there_for_others(world: World, host_port: int) -> None:
    assert world.outside("tcp", UPLINK, host_port) == "host"


def test_the_hosts_loopback_is_out_of_reach_even_with_route_localnet(world: World, host_port: int) -> None:
    """As on a machine where kube-proxy or an old recipe has let 127/8 be routed."""
    route = ["127.0.0.9", "via", "169.254.1.1", "dev", "eth0", "onlink", "table", "local"]
    world.ours("run", "ip", "route", "add", "unicast", *route)
    localnet = "/proc/sys/net/ipv4/conf/{}/route_localnet"
    world.ours("write", localnet.format("eth0"), "1")
    Path(localnet.format("all")).write_text("1")
    try:
        assert world.ours("tcp", "127.0.0.9", host_port, str(PREFIX[16])) == "TimeoutError"
        with without(world, "input"):
            assert world.ours("tcp", "127.0.0.9", host_port, str(PREFIX[16])) == "host"
    finally:
        Path(localnet.format("all")).write_text("0")
        world.ours("run", "ip", "route", "del", *route)


def test_the_host_sends_the_container_nothing_by_ipv6(world: World) -> None:
    assert Path("/proc/sys/net/ipv6/conf/bx000000000000/disable_ipv6").read_text() == "1\n"
    assert world.ours("read", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6") == "1"
    assert "inet6" not in world.ours("run", "ip", "address", "show", "eth0")


def test_ipv6_is_dropped_even_where_both_ends_speak_it(world: World) -> None:
    veth = "bx000000000000"
    Path(f"/proc/sys/net/ipv6/conf/{veth}/disable_ipv6").write_text("0")
    world.ours("write", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "0")
    ip(f"-6 address add fd00::1/64 dev {veth} nodad")
    world.ours("run", "ip", "-6", "address", "add", "fd00::2/64", "dev", "eth0", "nodad")
    world.ours("run", "ip", "-6", "neighbour", "add", "fd00::1", "lladdr", "b2:00:0a:d0:00:10", "dev", "eth0")
    ip(f"-6 neighbour add fd00::2 lladdr b2:01:0a:d0:00:10 dev {veth}")
    with socket.create_server(("::", 0), family=socket.AF_INET6) as server:
        threading.Thread(target=_greet, args=[server]).start()
        port = server.getsockname()[1]
        try:
            assert world.ours("tcp", "fd00::1", port) == "TimeoutError"
            with without(world, "prerouting", "input"):
                assert world.ours("tcp", "fd00::1", port) == "host"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            Path(f"/proc/sys/net/ipv6/conf/{veth}/disable_ipv6").write_text("1")
