from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from paas.network import plan
from paas.network.nfnetlink import Element
from paas.network.plan import Endpoint, Policy
from paas.specs import Fence
from tests.network.conftest import uid

PREFIX = IPv4Network("10.208.0.0/16")
POLICY = Policy(PREFIX, resolvers=(IPv4Address("192.0.2.53"),))
ENDPOINT = Endpoint("0123456789ab", uid(7), IPv4Address("10.208.0.16"))


def test_the_whole_ruleset() -> None:
    golden = Path(__file__).with_name("ruleset.nft").read_text()
    assert plan.replace("bx", POLICY, [ENDPOINT], [Fence(uid(7))]) == golden


def test_adding_a_container() -> None:
    assert plan.add("bx", ENDPOINT).splitlines() == [
        'add element inet bxberth bindings { "bx0123456789ab" . 10.208.0.16 }',
        "add element inet bxberth tenants { 10.208.0.16 : 0x70070000 }",
        "add element inet bxberth members { 10.208.0.16 . 0x70070000 }",
    ]


def test_a_container_as_the_kernel_has_it() -> None:
    address, tenant = b"\x0a\xd0\x00\x10", uid(7).to_bytes(4, sys.byteorder)
    binding, owner, member = plan.packed("bx", ENDPOINT)
    assert binding == Element("bindings", b"bx0123456789ab\0\0" + address)
    assert owner == Element("tenants", address, tenant) and plan.tenant_in(owner) == uid(7)
    assert member == Element("members", address + tenant)


def test_allowed_private_networks_come_before_the_private_ranges() -> None:
    allowed = (IPv4Network("10.1.0.0/16"), IPv4Network("10.0.0.0/16"), IPv4Network("172.20.0.0/24"))
    text = plan.replace("bx", Policy(PREFIX, egress_allow=allowed), [])
    rules = [line.strip() for line in text.splitlines()]
    position = rules.index("ip daddr { 10.0.0.0/15, 172.20.0.0/24 } goto leave")
    assert rules[position + 1].startswith("ip daddr { 0.0.0.0/8, 10.0.0.0/8,")


def test_what_is_closed_is_so_beside_the_private_ranges_and_may_be_allowed() -> None:
    closed = IPv4Network("203.0.113.0/24")
    text = plan.replace("bx", Policy(PREFIX, (IPv4Network("203.0.113.8/29"),), closed=(closed,)), [])
    rules = [line.strip() for line in text.splitlines()]
    position = rules.index("ip daddr { 203.0.113.8/29 } goto leave")
    assert rules[position + 1].endswith(", 203.0.113.0/24 } goto refuse_closed")


def test_without_resolvers_nothing_goes_to_port_53_of_private_addresses() -> None:
    assert "dport 53" not in plan.replace("bx", Policy(PREFIX), [])


@pytest.mark.parametrize(
    "other",
    [
        Policy(PREFIX),
        Policy(PREFIX, resolvers=POLICY.resolvers, egress_allow=(IPv4Network("10.1.0.0/16"),)),
        Policy(IPv4Network("10.207.0.0/16"), resolvers=POLICY.resolvers),
        Policy(PREFIX, resolvers=POLICY.resolvers, closed=(IPv4Network("203.0.113.0/24"),)),
    ],
)
def test_every_policy_has_its_own_version(other: Policy) -> None:
    assert plan.version("bx", other) != plan.version("bx", POLICY)


def test_the_version_does_not_depend_on_the_order_of_the_settings() -> None:
    resolvers = (IPv4Address("192.0.2.53"), IPv4Address("192.0.2.54"))
    backwards = (resolvers[1], resolvers[0])
    assert plan.version("bx", Policy(PREFIX, resolvers=resolvers)) == plan.version(
        "bx", Policy(PREFIX, resolvers=backwards)
    )
