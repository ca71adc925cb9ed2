from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

from hypothesis import given, settings
from hypothesis import strategies as st

from paas.network import fence
from paas.specs import Destination, Fence, Held, Service, Traffic
from tests.network.conftest import uid

TENANT = uid(7)
API = Service(IPv4Address("10.208.192.1"), 8000, (IPv4Address("10.208.0.16"), IPv4Address("10.208.0.17")))
FENCE = Fence(TENANT, "list", (Destination(IPv4Network("192.0.2.0/24"), 443),), 1_250_000, (API,))
WHOLE = [
    "add limit inet bxberth rate_70070000_1250000 { rate over 1250000 bytes/second burst 131072 bytes ; }",
    "add element inet bxberth policies { 0x70070000 : goto egress_list }",
    "add element inet bxberth resolving { 0x70070000 }",
    "add element inet bxberth listed { 0x70070000 . 192.0.2.0/24 . 443 }",
    'add element inet bxberth rates { 0x70070000 : "rate_70070000_1250000" }',
    "add element inet bxberth members { 10.208.192.1 . 0x70070000 }",
    "add element inet bxberth spread { 10.208.192.1 : goto spread_2 }",
    "add element inet bxberth targets { 10.208.192.1 . 80 . 0x0 : 10.208.0.16 . 8000 }",
    "add element inet bxberth targets { 10.208.192.1 . 80 . 0x1 : 10.208.0.17 . 8000 }",
    "add element inet bxberth targets { 10.208.192.1 . 8000 . 0x0 : 10.208.0.16 . 8000 }",
    "add element inet bxberth targets { 10.208.192.1 . 8000 . 0x1 : 10.208.0.17 . 8000 }",
]


def test_a_whole_fence() -> None:
    assert fence.additions("bxberth", FENCE) == WHOLE


def test_a_change_names_only_what_differs() -> None:
    other = replace(FENCE, egress="none", allowed=(), rate=0)
    assert fence.change("bxberth", FENCE, other) == [
        "delete element inet bxberth policies { 0x70070000 : goto egress_list }",
        "delete element inet bxberth resolving { 0x70070000 }",
        "delete element inet bxberth listed { 0x70070000 . 192.0.2.0/24 . 443 }",
        'delete element inet bxberth rates { 0x70070000 : "rate_70070000_1250000" }',
        "delete limit inet bxberth rate_70070000_1250000",
        "add element inet bxberth policies { 0x70070000 : goto egress_none }",
    ]
    assert fence.change("bxberth", FENCE, FENCE) == []
    assert fence.change("bxberth", None, None) == []
    gone = fence.change("bxberth", FENCE, None)
    assert len(gone) == len(WHOLE) and all(line.startswith("delete ") for line in gone)


def test_a_service_without_containers_leads_nowhere() -> None:
    idle = Fence(TENANT, services=(replace(API, targets=()),))
    assert [line for line in fence.additions("bxberth", idle) if "10.208.192.1" in line] == [
        "add element inet bxberth members { 10.208.192.1 . 0x70070000 }"
    ]


def test_what_is_kept_is_what_was_meant() -> None:
    assert fence.from_json(fence.to_json(FENCE)) == FENCE
    assert fence.from_json(fence.to_json(Fence(TENANT))) == Fence(TENANT)


def test_a_part_that_is_open_on_every_port_is_taken_out_of_what_is_open_on_one() -> None:
    allowed = [Destination(IPv4Network("10.0.0.0/30"), 443), Destination(IPv4Network("10.0.0.2/32"))]
    assert fence.ranges(allowed) == ["10.0.0.2/32 . 0-65535", "10.0.0.0/31 . 443", "10.0.0.3/32 . 443"]


NETWORKS = st.builds(
    lambda base, length: IPv4Network((base, length), strict=False), st.integers(0, 63), st.integers(26, 32)
)


@settings(deadline=None)
@given(st.lists(st.builds(Destination, NETWORKS, st.sampled_from([None, 80, 443]))))
def test_ranges_never_overlap_and_open_what_was_named(allowed: list[Destination]) -> None:
    opened = [text.split(" . ") for text in fence.ranges(allowed)]
    for address in next(summarize_address_range(IPv4Address(0), IPv4Address(63))):
        for port in (80, 443, 25):
            named = any(address in d.network and d.port in (None, port) for d in allowed)
            hits = [n for n, ports in opened if address in IPv4Network(n) and ports in ("0-65535", str(port))]
            assert len(hits) == named


def test_reading_back() -> None:
    limits = "\tlimit rate_70070000_1250 {\n\t\trate over 2 kbytes/second burst 128 kbytes\n\t}\n"
    policies = "elements = { 0x70060000 : goto egress_none, 0x70070000 : goto egress_list }"
    rates = 'elements = { 0x70070000 : "rate_70070000_1250" }'
    assert fence.held(policies, rates, limits) == {TENANT: Held("list", 2048), uid(6): Held("none", 0)}
    assert fence.held(policies, "", limits)[TENANT] == Held("list", 0)  # there, and used by nothing
    assert fence.held("", rates, limits) == {}


def test_counters() -> None:
    def line(packets: int) -> str:
        return f"elements = {{ 0x70070000 counter packets {packets} bytes {packets * 100} }}"

    names = ("sent", "received", "refused_closed", "refused_policy", "refused_rate", "refused_connections")
    listings = {name: line(number) for number, name in enumerate(names, 1)} | {"refused_rate": ""}
    refused = (("closed", 3), ("policy", 4), ("rate", 0), ("connections", 6))
    assert fence.traffic(listings) == {TENANT: Traffic((1, 100), (2, 200), refused)}
