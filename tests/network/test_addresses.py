from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paas.errors import BadInput
from paas.network import addresses

PREFIX = IPv4Network("10.208.0.0/16")


def test_first_and_last_address() -> None:
    assert addresses.offsets(PREFIX) == range(16, 49_152)
    assert addresses.address_of(PREFIX, 16) == IPv4Address("10.208.0.16")
    assert addresses.address_of(PREFIX, 49_151) == IPv4Address("10.208.191.255")


@pytest.mark.parametrize("offset", [-1, 0, 1, 15, 49_152, 65_535, 65_536])
def test_reserved_addresses_are_refused(offset: int) -> None:
    with pytest.raises(BadInput, match="offsets go from 16 to 49151"):
        addresses.address_of(PREFIX, offset)


@pytest.mark.parametrize(
    "address", ["10.208.0.0", "10.208.0.1", "10.208.192.0", "10.208.255.255", "10.209.0.16", "127.0.0.1"]
)
def test_foreign_addresses_have_no_offset(address: str) -> None:
    with pytest.raises(BadInput, match="no container address"):
        addresses.offset_of(PREFIX, IPv4Address(address))


@settings(deadline=None)
@given(st.integers(8, 26), st.data())
def test_offset_and_address_are_inverse(length: int, data: st.DataObject) -> None:
    prefix = IPv4Network((0x0A000000, length))
    offset = data.draw(st.sampled_from(addresses.offsets(prefix)))
    address = addresses.address_of(prefix, offset)
    assert address in prefix
    assert address not in (prefix.network_address, prefix.broadcast_address, addresses.host_address(prefix))
    assert addresses.offset_of(prefix, address) == offset


def test_a_prefix_without_room() -> None:
    with pytest.raises(BadInput, match="no room"):
        addresses.offsets(IPv4Network("10.0.0.0/28"))


def test_the_host_has_the_first_address() -> None:
    assert addresses.host_address(PREFIX) == IPv4Address("10.208.0.1")


def test_interface_names_fit_the_kernel() -> None:
    name = addresses.interface_of("bx", "0123456789ab")
    assert name == "bx0123456789ab"
    assert len(name.encode()) < 16


@pytest.mark.parametrize(
    "text", ["", "0123456789a", "0123456789abc", "0123456789AB", "../456789abcd", "0123456789a\n"]
)
def test_only_a_container_id_makes_a_name(text: str) -> None:
    with pytest.raises(BadInput):
        addresses.interface_of("bx", text)


def test_containers_among_interfaces() -> None:
    names = ["lo", "eth0", "bx0123456789ab", "bx-bridge", "by0123456789ab", "bxffffffffffff", "bx0123456789abc"]
    assert addresses.containers_among("bx", names) == {"0123456789ab", "ffffffffffff"}


def test_macs_are_local_unicast_and_tell_the_ends_apart() -> None:
    address = IPv4Address("10.208.1.16")
    assert addresses.host_mac(address) == "b2:00:0a:d0:01:10"
    assert addresses.container_mac(address) == "b2:01:0a:d0:01:10"
    assert 0xB2 & 0b11 == 0b10


@settings(deadline=None)
@given(st.integers(8, 26))
def test_services_have_the_last_quarter(length: int) -> None:
    prefix = IPv4Network((0x0A000000, length))
    quarter, places = addresses.services(prefix), addresses.service_offsets(prefix)
    assert quarter.num_addresses * 4 == prefix.num_addresses
    assert prefix[addresses.offsets(prefix)[-1]] not in quarter
    assert addresses.service_address(prefix, places[0]) == quarter[0]
    assert addresses.service_address(prefix, places[-1]) == quarter[-2]
    with pytest.raises(BadInput, match="no service's"):
        addresses.service_address(prefix, places[0] - 1)
