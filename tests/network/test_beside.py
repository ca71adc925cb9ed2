"""Berth beside other firewalls and a Docker engine: both go on working, and nothing of ours is left there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import docker as private_docker
from paas.network import beside, nft
from paas.network.apply import SYSCTLS, Network
from paas.network.beside import Chain, Rule
from paas.specs import Fence
from tests.images.tools import docker
from tests.network.conftest import PREFIX, Peer, _libc, uid
from tests.network.world import PUBLIC, UPLINK, World, make_outside, world

__all__ = ["docker", "world"]
kernel = pytest.mark.kernel

DROPS = Chain("ip", "filter", "FORWARD", True, ())
REJECT = Rule("reject with icmpx admin-prohibited", 7)


def test_rules_go_before_the_chains_last_word() -> None:
    ways = [f'{way} "bx*" counter accept comment "berth bx"' for way in ("iifname", "oifname")]
    assert beside.missing("bx", DROPS) == [f"add rule ip filter FORWARD {way}" for way in ways]
    last = Chain("inet", "own", "fwd", False, (Rule("ct state established accept", 6), REJECT))
    assert beside.missing("bx", last) == [f"insert rule inet own fwd handle 7 {way}" for way in ways]
    zones = Chain("inet", "firewalld", "filter_FORWARD", False, (Rule("goto zones", 5), REJECT))
    assert beside.missing("bx", zones) == [f"insert rule inet firewalld filter_FORWARD {way}" for way in ways]


def test_a_chain_that_drops_nothing_or_knows_us_is_left_alone() -> None:
    assert beside.missing("bx", Chain("ip", "filter", "FORWARD", False, (Rule("counter", 3),))) == []
    some = Chain("inet", "own", "fwd", False, (Rule('iifname "eth9" drop', 3),))
    assert beside.missing("bx", some) == []
    known = Chain("ip", "filter", "FORWARD", True, (Rule('iifname "bx*" accept comment "berth bx"', 3),))
    assert beside.missing("bx", known) == []
    assert beside.ours("bx", known) == ["delete rule ip filter FORWARD handle 3"]
    assert beside.ours("by", known) == []


def iptables(*arguments: str) -> str:
    argv = ["iptables-nft", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@contextmanager
def firewall(world: World, ruleset: Callable[[], object]) -> Iterator[None]:
    """Made beside Berth, found by it as the agent's next look would; and gone again."""
    ruleset()
    try:
        yield
    finally:
        for table in ("ip filter", "inet own", "inet firewalld"):
            nft.run(f"add table {table}\ndelete table {table}\n")
        world.network.apply_base()


@kernel
def test_a_default_drop_of_iptables(world: World) -> None:
    """As ufw and Docker leave it; what somebody has forbidden by a rule stays so."""

    def closed() -> None:
        iptables("-P", "FORWARD", "DROP")
        iptables("-N", "DOCKER-USER")
        iptables("-A", "FORWARD", "-j", "DOCKER-USER")
        iptables("-A", "DOCKER-USER", "-p", "tcp", "--dport", "53", "-j", "DROP")

    with firewall(world, closed):
        assert world.ours("tcp", PUBLIC, 80) == "TimeoutError"
        world.network.apply_base()
        assert world.ours("tcp", PUBLIC, 80) == UPLINK
        assert world.ours("tcp", PUBLIC, 53) == "TimeoutError"
        assert world.outside("tcp", str(PREFIX[16]), 8000) == "TimeoutError"
        before = iptables("-S", "FORWARD")
        assert "-A FORWARD -i bx+" in before and "-A FORWARD -o bx+" in before
        world.network.apply_base()
        assert iptables("-S", "FORWARD") == before
        beside.withdraw("bx", "bxberth")
        assert "bx+" not in iptables("-S", "FORWARD")


LAST = """table inet own {
	chain judge {
		type filter hook forward priority filter; policy accept;
		reject
	}
}
"""
ZONES = """table inet firewalld {
	chain zones {
		reject with icmpx admin-prohibited
	}
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state established,related accept
		goto zones
	}
}
"""


@kernel
@pytest.mark.parametrize("rules", [LAST, ZONES], ids=["last rule rejects", "firewalld"])
def test_a_firewall_in_nftables(world: World, rules: str) -> None:
    with firewall(world, lambda: nft.demand(rules)):
        assert world.ours("tcp", PUBLIC, 80) != UPLINK
        world.network.apply_base()
        assert world.ours("tcp", PUBLIC, 80) == UPLINK
        assert world.ours("tcp", str(PREFIX[18]), 8000) == "TimeoutError"


@kernel
def test_forwarding_stays_on_for_whoever_came_after_us(own_netns: None, tmp_path: Path) -> None:
    (SYSCTLS / "ip_forward").write_text("0")
    network = Network("bx", PREFIX, [], [], tmp_path / "network.json")
    network.apply_base()
    iptables("-P", "FORWARD", "DROP")
    network.remove_all()
    assert (SYSCTLS / "ip_forward").read_text() == "1\n"


@contextmanager
def dockers_network() -> Iterator[None]:
    """This thread in the network namespace of the private Docker engine."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(private_docker.NAMESPACES / private_docker.NAMESPACE, os.O_RDONLY)
    assert _libc.setns(there, 0x40000000) == 0
    try:
        yield
    finally:
        assert _libc.setns(before, 0x40000000) == 0
        os.close(before)
        os.close(there)


@kernel
def test_a_docker_engine_on_the_same_host(docker: private_docker.Docker, tmp_path: Path) -> None:
    """Docker has made FORWARD drop; its containers and ours both reach out, and its go on when we are gone."""
    image = tmp_path / "image" / "bin"
    image.mkdir(parents=True)
    (image / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (image / "busybox").chmod(0o755)
    docker.import_image(image.parent, "busybox")
    peers: list[Peer] = []

    def dockers_container_reaches_out() -> bool:
        command = f"busybox nc -w 2 {PUBLIC} 80 < /dev/null"
        return docker("run", "--rm", "busybox", "/bin/busybox", "sh", "-c", command) == UPLINK

    with dockers_network():
        try:
            iptables("-P", "FORWARD", "DROP")  # as Docker does where forwarding was off before it came
            peers += [make_outside(), Peer("--user", "--map-root-user", "--net")]
            assert dockers_container_reaches_out()
            dockers = iptables("-S"), iptables("-t", "nat", "-S")
            network = Network("bx", PREFIX, [], [], tmp_path / "network.json")
            network.apply_base()
            network.set_fence(Fence(uid(1)))
            network.connect("0" * 12, uid(1), PREFIX[16], peers[1].pid)
            assert peers[1]("tcp", PUBLIC, 80) == UPLINK
            assert dockers_container_reaches_out()
            docker("network", "create", "another")  # it changes its rules with ours among them
            docker("network", "rm", "another")
            network.remove_all()
            assert (iptables("-S"), iptables("-t", "nat", "-S")) == dockers
            assert dockers_container_reaches_out()
        finally:
            for peer in peers:
                peer.end()
