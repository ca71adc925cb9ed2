"""What a tenant's containers may send out of the machine, how fast, and what is counted of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network

import pytest

from paas.network import nft, plan
from paas.network.fence import BURST, mark
from paas.network.plan import NEW_FLOWS_BURST
from paas.specs import Destination, Fence, Held
from tests.network.conftest import PREFIX, uid
from tests.network.world import ALLOWED, MAIL, PRIVATE, PUBLIC, RESOLVER, UPLINK, World, world

__all__ = ["world"]
pytestmark = pytest.mark.kernel

TENANT = uid(1)
NONE = Fence(TENANT, "none")


@pytest.fixture(autouse=True)
def open_again(world: World) -> Iterator[None]:
    yield
    world.network.set_fence(Fence(TENANT))


def listed(*texts: str) -> Fence:
    pairs = (text.partition(":") for text in texts)
    found = (Destination(IPv4Network(network), int(port) if port else None) for network, _, port in pairs)
    return Fence(TENANT, "list", tuple(found))


def refused(world: World, reason: str, tenant: int = TENANT) -> int:
    """Since the rules were made."""
    found = world.network.traffic().get(tenant)
    return dict(found.refused)[reason] if found else 0


def test_a_list_opens_what_it_names_and_nothing_else(world: World) -> None:
    world.outside("serve_tcp", 8080)
    world.network.set_fence(listed(f"{PUBLIC}/32:80", f"{MAIL}/32"))
    assert world.ours("tcp", PUBLIC, 80) == UPLINK
    assert world.ours("tcp", PUBLIC, 8080) == "ConnectionRefusedError"
    assert world.ours("tcp", MAIL, 80) == UPLINK
    assert world.ours("tcp", MAIL, 25) == "TimeoutError"
    assert world.ours("udp", RESOLVER, 53) == UPLINK
    assert world.theirs("tcp", PUBLIC, 8080) == UPLINK


def test_a_list_opens_nothing_that_the_operator_has_closed(world: World) -> None:
    world.network.set_fence(listed("0.0.0.0/0"))
    assert world.ours("tcp", PUBLIC, 80) == UPLINK
    assert world.ours("tcp", ALLOWED, 80) == UPLINK
    assert world.ours("tcp", PRIVATE[0], 80) == "TimeoutError"
    assert world.ours("tcp", str(PREFIX[18]), 8000) == "TimeoutError"


def test_none_is_said_at_once(world: World) -> None:
    world.network.set_fence(NONE)
    assert world.ours("tcp", PUBLIC, 80) == "ConnectionRefusedError"
    assert world.ours("udp", RESOLVER, 53) != UPLINK
    assert world.theirs("tcp", PUBLIC, 80) == UPLINK
    assert refused(world, "policy") > 0


def test_who_is_not_allowed_out_still_serves(world: World) -> None:
    world.network.set_fence(NONE)
    with socket.create_connection((str(PREFIX[16]), 8000), timeout=1) as sock:
        assert sock.recv(100) == str(PREFIX[1]).encode()


def test_what_is_under_way_ends_with_the_policy(world: World) -> None:
    world.outside("serve_echo", 7000)
    assert world.ours("hold", PUBLIC, 7000) == "held"
    assert world.ours("say", "a").endswith(" a")
    world.network.set_fence(NONE)
    assert world.ours("say", "b") == "ConnectionResetError"


def test_a_tenant_that_is_not_known_reaches_nothing(world: World) -> None:
    peer = world.new_peer()
    world.network.connect("f" * 12, uid(9), PREFIX[30], peer.pid)
    assert not world.network.is_fenced(uid(9))
    assert peer("tcp", PUBLIC, 80) == "ConnectionRefusedError"
    world.network.set_fence(Fence(uid(9)))
    assert peer("tcp", PUBLIC, 80) == UPLINK
    world.network.disconnect("f" * 12, PREFIX[30])


def test_the_kernel_says_what_it_holds(world: World) -> None:
    assert world.network.held()[TENANT] == Held("open", 0)
    world.network.set_fence(Fence(TENANT, "none", rate=125_000))
    assert world.network.held()[TENANT] == Held("none", 125_000)
    world.network.set_fence(Fence(TENANT, rate=1024 * 1024))
    assert world.network.held()[TENANT] == Held("open", 1024 * 1024)
    assert uid(77) not in world.network.held()
    nft.demand(f"delete element inet bxberth policies {{ {mark(TENANT)} : goto egress_open }}\n")
    assert TENANT not in world.network.held()
    assert world.ours("tcp", PUBLIC, 80) == "ConnectionRefusedError"
    assert world.network.restore_fences()
    assert not world.network.restore_fences()
    assert world.network.held()[TENANT] == Held("open", 1024 * 1024)


def test_a_tenants_containers_share_its_rate(world: World) -> None:
    rate, seconds = 1_000_000, 1.0
    world.outside("serve_sink", 7001)
    peers = (world.ours, world.ours_too)
    free, _ = world.ours("pour", PUBLIC, 7001, 0.2)
    world.network.set_fence(Fence(TENANT, rate=rate))
    with ThreadPoolExecutor(2) as both:
        poured = list(both.map(lambda peer: peer("pour", PUBLIC, 7001, seconds), peers))
    most = rate * (max(took for _, took in poured) + 1) + BURST
    assert sum(size for size, _ in poured) <= most
    assert refused(world, "rate") > 0
    assert free > most  # control: without the limit, in a fifth of the time


@pytest.mark.parametrize("limit", ["FLOWS_PER_CONTAINER", "FLOWS_PER_TENANT"])
def test_open_connections_have_an_end(world: World, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.theirs("spray", PUBLIC, 9998, 100)
    assert refused(world, "connections", uid(2)) == 0  # control: with room for more, in every bucket
    monkeypatch.setattr(plan, limit, 1)
    world.network.apply_base()
    world.theirs("spray", PUBLIC, 9997, 200)
    assert refused(world, "connections", uid(2)) > 0
    monkeypatch.undo()
    world.network.apply_base()


def test_new_connections_have_a_pace(world: World) -> None:
    assert refused(world, "connections") == 0
    world.ours("spray", PUBLIC, 9999, NEW_FLOWS_BURST * 2)
    assert refused(world, "connections") > 0
    assert world.theirs("tcp", PUBLIC, 80) == UPLINK


def test_what_is_sent_received_and_refused_is_counted(world: World) -> None:
    peer = world.new_peer()
    world.network.set_fence(Fence(uid(8)))
    world.network.connect("e" * 12, uid(8), PREFIX[31], peer.pid)
    try:
        assert peer("udp", PUBLIC, 9000) == UPLINK
        assert peer("tcp", PRIVATE[0], 80) == "TimeoutError"
        counted = world.network.traffic()[uid(8)]
        assert counted.sent == (1, 29)  # an IP and a UDP header, and one byte
        assert counted.received == (1, 28 + len(UPLINK))
        assert dict(counted.refused)["closed"] > 0
    finally:
        world.network.disconnect("e" * 12, PREFIX[31])


@pytest.mark.parametrize("address", ["2001:db8::1", "fe80::1%eth0", "ff02::1%eth0", "::ffff:203.0.113.2"])
def test_ipv6_is_closed_and_says_so_at_once(world: World, address: str) -> None:
    """A name that has an IPv6 address alone must fail, not hang."""
    if address.startswith("::ffff:"):  # IPv4 in disguise
        assert world.ours("tcp", address, 80) == f"::ffff:{UPLINK}".removeprefix("::ffff:")
    else:
        assert world.ours("tcp", address, 80) == "OSError"
