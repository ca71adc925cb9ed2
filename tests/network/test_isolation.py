"""What a tenant with root inside its container tries against its neighbours, the host and the networks around.

Every refusal has its control: the same attempt where it is allowed, so that a test cannot pass by a typing
error. One small world serves the whole file: two tenants, the host, and an outside behind the host's uplink.
"""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from paas.network.apply import Network
from tests.network.conftest import PREFIX, Peer, own_network

pytestmark = pytest.mark.kernel

UPLINK, PUBLIC = "203.0.113.1", "203.0.113.2"
RESOLVER = "10.77.0.53"  # as so often, in a private range
MAIL = "198.51.100.25"
PRIVATE = ["10.77.0.1", "172.16.0.9", "192.168.77.1", "100.64.0.9", "169.254.169.254", "198.18.0.9"]
ALLOWED = "10.88.0.1"


@dataclass
class World:
    network: Network
    outside: Peer
    ours: Peer  # 10.208.0.16
    ours_too: Peer  # 10.208.0.17, same tenant
    theirs: Peer  # 10.208.0.18


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    state_file = tmp_path_factory.mktemp("network") / "network.json"
    peers: list[Peer] = []
    with own_network():
        try:
            peers += [_outside(), *(Peer("--user", "--map-root-user", "--net") for _ in range(3))]
            network = Network("bx", PREFIX, [IPv4Network("10.88.0.0/16")], [IPv4Address(RESOLVER)], state_file)
            network.apply_base()
            for number, tenant in enumerate(("a" * 12, "a" * 12, "aaaaaabbbbbb")):
                network.connect(f"{number:012x}", tenant, PREFIX[16 + number], peers[1 + number].pid)
                peers[1 + number]("serve_tcp", 8000)
            yield World(network, *peers)
        finally:
            for peer in peers:
                peer.end()


def _outside() -> Peer:
    peer = Peer("--net")
    _ip(f"link add up0 type veth peer name eth0 netns {peer.pid}")
    _ip(f"address add {UPLINK}/24 dev up0")
    _ip("link set up0 up")
    _ip(f"route add default via {PUBLIC}")
    peer("run", "ip", "link", "set", "lo", "up")
    peer("run", "ip", "address", "add", f"{PUBLIC}/24", "dev", "eth0")
    for address in (RESOLVER, MAIL, ALLOWED, *PRIVATE):
        peer("run", "ip", "address", "add", f"{address}/32", "dev", "lo")
    peer("run", "ip", "link", "set", "eth0", "up")
    peer("run", "ip", "route", "add", str(PREFIX), "via", UPLINK)  # an outsider who knows the way in
    for port in (25, 53, 80):
        peer("serve_tcp", port)
    peer("serve_udp", 53, RESOLVER)
    peer("serve_udp", 9000)
    return peer


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


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


def test_so_is_another_container_of_ones_own(world: World) -> None:
    assert world.ours("tcp", str(PREFIX[17]), 8000) == "TimeoutError"


def test_unless_the_policy_opens_a_tenants_containers_to_each_other(world: World) -> None:
    dataclasses.replace(world.network, same_tenant=True).apply_base()
    try:
        assert world.ours("tcp", str(PREFIX[17]), 8000) == str(PREFIX[16])
        # Half of the two tenants' ids is the same.
        assert world.ours("tcp", str(PREFIX[18]), 8000) == "TimeoutError"
        assert world.theirs("tcp", str(PREFIX[16]), 8000) == "TimeoutError"
    finally:
        world.network.apply_base()
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
    _ip(f"-6 address add fd00::1/64 dev {veth} nodad")
    world.ours("run", "ip", "-6", "address", "add", "fd00::2/64", "dev", "eth0", "nodad")
    world.ours("run", "ip", "-6", "neighbour", "add", "fd00::1", "lladdr", "b2:00:0a:d0:00:10", "dev", "eth0")
    _ip(f"-6 neighbour add fd00::2 lladdr b2:01:0a:d0:00:10 dev {veth}")
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
