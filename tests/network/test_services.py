"""Names inside a tenant: a service's address leads to its containers, for the tenant's own and nobody else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from paas.network import nft
from paas.network.addresses import services
from paas.specs import Fence, Service
from tests.network.conftest import PREFIX, uid
from tests.network.world import PUBLIC, UPLINK, World, world

__all__ = ["world"]
pytestmark = pytest.mark.kernel

OURS, OURS_TOO, THEIRS = PREFIX[16], PREFIX[17], PREFIX[18]
API, DB, FOREIGN, NOBODYS = (services(PREFIX)[number] for number in (1, 2, 3, 99))


@pytest.fixture(autouse=True)
def served(world: World) -> Iterator[None]:
    world.network.set_fence(fence((Service(API, 8000, (OURS_TOO,)), Service(DB, 5432))))
    world.network.set_fence(Fence(uid(2), services=(Service(FOREIGN, 8000, (THEIRS,)),)))
    yield


def fence(services: tuple[Service, ...]) -> Fence:
    return Fence(uid(1), services=services)


def to(*targets: IPv4Address, port: int = 8000) -> Fence:
    return fence((Service(API, port, targets),))


@pytest.mark.parametrize("port", [80, 8000])
def test_a_name_reaches_its_container_which_sees_who_calls(world: World, port: int) -> None:
    assert world.ours("tcp", str(API), port) == str(OURS)
    assert str(OURS) in world.ours_too("has_heard")


def test_each_of_several_containers_gets_its_share(world: World) -> None:
    world.network.set_fence(to(OURS, OURS_TOO))
    before = len(world.ours_too("has_heard"))
    answers = [world.ours("tcp", str(API), 80) for _ in range(40)]
    assert set(answers) == {str(OURS), str(PREFIX[1])}  # itself is seen as the host
    assert 0 < len(world.ours_too("has_heard")) - before < 40


def test_a_container_can_call_its_own_name(world: World) -> None:
    assert world.ours_too("tcp", str(API), 80) == str(PREFIX[1])


def test_without_a_container_a_name_refuses_at_once(world: World) -> None:
    assert world.ours("tcp", str(DB), 5432) == "ConnectionRefusedError"


def test_so_does_a_port_that_is_not_the_services(world: World) -> None:
    world.ours_too("serve_tcp", 9999)
    assert world.ours("tcp", str(API), 9999) == "ConnectionRefusedError"
    assert world.ours("udp", str(API), 8000) == "TimeoutError"


def test_another_tenants_service_is_as_if_it_were_none(world: World) -> None:
    assert world.theirs("tcp", str(FOREIGN), 80) == str(PREFIX[1])  # control: it is there
    heard = world.theirs("has_heard")
    for port in (80, 8000):
        assert world.ours("tcp", str(FOREIGN), port) == "ConnectionRefusedError"
        assert world.ours("tcp", str(NOBODYS), port) == "ConnectionRefusedError"
        assert world.theirs("tcp", str(API), port) == "ConnectionRefusedError"
    assert world.theirs("has_heard") == heard


def test_a_services_address_is_nothing_to_others(world: World) -> None:
    assert world.outside("tcp", str(API), 80) == "TimeoutError"
    assert world.ours("tcp", str(API), 80, str(OURS)) == str(OURS)


def test_a_switch_takes_new_connections_and_leaves_those_under_way(world: World) -> None:
    for peer in (world.ours, world.ours_too):
        peer("serve_echo", 7000)
    world.network.set_fence(to(OURS_TOO, port=7000))
    assert world.ours("hold", str(API), 80) == "held"
    assert world.ours("say", "a") == f"{OURS_TOO} a"
    world.network.set_fence(to(OURS, port=7000))
    assert world.ours("say", "b") == f"{OURS_TOO} b"
    assert world.ours("hold", str(API), 80) == "held"
    assert world.ours("say", "c") == f"{OURS} c"


def test_services_are_there_again_after_the_rules_were_flushed(world: World) -> None:
    subprocess.run(["nft", "flush ruleset"], check=True)
    world.network.apply_base()
    assert world.ours("tcp", str(API), 80) == str(OURS)
    subprocess.run(["nft", "flush ruleset"], check=True)
    world.network.set_fence(to(OURS))
    assert world.ours_too("tcp", str(API), 80) == str(OURS_TOO)


def test_no_mark_is_left_on_what_goes_on(world: World) -> None:
    """Others' rules, as a VPN's, may mean something by one."""
    nft.demand(WATCH)
    try:
        assert world.ours("tcp", str(API), 80) == str(OURS)
        assert world.ours("tcp", PUBLIC, 80) == UPLINK
        listing = nft.demand("list table inet watch\n")
        assert listing.count("meta mark != 0x00000000 counter packets 0") == 2
        assert "meta mark 0x00000000 counter packets 0" not in listing
    finally:
        subprocess.run(["nft", "delete table inet watch"], check=True)


WATCH = """table inet watch {
	chain routed { type filter hook forward priority filter - 20; policy accept;
		meta mark != 0 counter
		meta mark 0 counter
	}
	chain judged { type filter hook forward priority filter; policy accept;
		meta mark != 0 counter
		meta mark 0 counter
	}
}
"""
