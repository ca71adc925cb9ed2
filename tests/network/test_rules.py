"""The rules in the kernel against those that Berth makes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from bench import machine
from paas.linux import heap
from paas.network.apply import Network
from paas.network.rules import blocks
from paas.specs import MIB, Fence
from tests.network.conftest import PREFIX, Peer, uid

pytestmark = pytest.mark.kernel
TABLE = "inet bxberth"


def nft(command: str) -> None:
    subprocess.run(["nft", command], check=True)


def test_a_rule_that_is_missing_is_found_and_elements_are_none(network: Network) -> None:
    assert network.drift() == ""
    nft(f"add element {TABLE} tenants {{ {PREFIX[16]} : 0x1 }}")
    nft(f"add chain {TABLE} somebodys {{ type filter hook forward priority 0; policy drop; }}")
    assert network.drift() == ""
    nft(f"add rule {TABLE} between accept")
    nft(f"flush chain {TABLE} egress")
    assert network.drift() == "the nftables table bxberth lacks rules: chain between, chain egress"
    nft(f"delete table {TABLE}")
    assert network.drift() == "there is no nftables table bxberth"
    network.apply_base()
    assert network.drift() == ""


@pytest.mark.parametrize(
    ("flushed", "told"),
    [("chain {} egress", "lacks rules: chain egress"), ("set {} bindings", "shuts out 0c0ffee00001"),
     ("map {} tenants", "shuts out 0c0ffee00001"), ("table {}", "lacks rules: chain answer")],
)  # fmt: skip
def test_what_somebody_flushed_is_made_again(
    network: Network, container: Callable[[], Peer], flushed: str, told: str
) -> None:
    network.set_fence(Fence(uid(0), "open"))
    network.connect("0c0ffee00001", uid(0), PREFIX[16], container().pid)
    assert network.mend() == ""
    nft(f"flush {flushed.format(TABLE)}")
    assert told in network.mend()
    assert network.drift() == network.mend() == ""
    assert network.tenant_of("0c0ffee00001", PREFIX[16]) == uid(0)
    assert network.held()[uid(0)].egress == "open"


def test_a_list_of_rules_leaves_nothing_in_memory(network: Network) -> None:
    """libnftables reads the whole table for it, and keeps that as long as the context is open."""
    network.held()
    before = private_bytes()
    some = ", ".join(f"{address} : 0x1" for address in list(PREFIX.subnets(new_prefix=20))[1])
    nft(f"add element {TABLE} tenants {{ {some} }}")
    assert network.held() == {}
    assert private_bytes() < before + MIB


def private_bytes() -> int:
    heap.give_back()
    return machine.private([os.getpid()])


def test_rules_of_another_policy_are_not_these(network: Network) -> None:
    other = Network("bx", PREFIX, [], [IPv4Address("203.0.113.99")], network.state_file)
    assert "chain dns" in other.drift()


def test_blocks_of_a_listing() -> None:
    text = "table inet t {\n\tset s {\n\t\ttype ifname\n\t}\n\n\tchain c {\n\t\taccept\n\t}\n}\n"
    assert blocks(text) == {"set s": "\t\ttype ifname\n", "chain c": "\t\taccept\n"}
