"""The rules in the kernel against those that Berth makes."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Address

import pytest

from paas.network.apply import Network
from paas.network.rules import blocks
from tests.network.conftest import PREFIX

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


def test_rules_of_another_policy_are_not_these(network: Network) -> None:
    other = Network("bx", PREFIX, [], [IPv4Address("203.0.113.99")], network.state_file)
    assert "chain dns" in other.drift()


def test_blocks_of_a_listing() -> None:
    text = "table inet t {\n\tset s {\n\t\ttype ifname\n\t}\n\n\tchain c {\n\t\taccept\n\t}\n}\n"
    assert blocks(text) == {"set s": "\t\ttype ifname\n", "chain c": "\t\taccept\n"}
