"""One small world for a file of tests: two tenants, the host, and an outside behind the host's uplink."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

import pytest

from paas.network.apply import Network
from paas.specs import Fence
from tests.network.conftest import PREFIX, Peer, own_network, uid

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
    others: list[Peer] = field(default_factory=list)

    def new_peer(self) -> Peer:
        self.others.append(Peer("--user", "--map-root-user", "--net"))
        return self.others[-1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    state_file = tmp_path_factory.mktemp("network") / "network.json"
    peers: list[Peer] = []
    with own_network():
        try:
            peers += [make_outside(), *(Peer("--user", "--map-root-user", "--net") for _ in range(3))]
            network = Network("bx", PREFIX, [IPv4Network("10.88.0.0/16")], [IPv4Address(RESOLVER)], state_file)
            network.apply_base()
            for number in (1, 2):
                network.set_fence(Fence(uid(number)))
            for number, tenant in enumerate((uid(1), uid(1), uid(2))):
                network.connect(f"{number:012x}", tenant, PREFIX[16 + number], peers[1 + number].pid)
                peers[1 + number]("serve_tcp", 8000)
            outside, ours, ours_too, theirs = peers
            made = World(network, outside, ours, ours_too, theirs)
            yield made
            peers += made.others
        finally:
            for peer in peers:
                peer.end()


def make_outside() -> Peer:
    peer = Peer("--net")
    ip(f"link add up0 type veth peer name eth0 netns {peer.pid}")
    ip(f"address add {UPLINK}/24 dev up0")
    ip("link set up0 up")
    ip(f"route add default via {PUBLIC}")
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


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)
