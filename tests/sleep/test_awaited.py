"""An app for whose answer a neighbour waits does not sleep; one that has answered does, connected or not."""

from __future__ import annotations

import socket
import time
from ipaddress import IPv4Address

import pytest

from paas.network import awaited
from paas.network.awaited import CLOSED_SECONDS, MOST_SECONDS
from paas.specs import Fence, Service
from tests.network.conftest import uid
from tests.sleep.conftest import NAME, OTHER, OURS, House

pytestmark = pytest.mark.kernel
SLOW = 8004
QUIET = 0.3


@pytest.fixture
def caller(house: House) -> House:
    """With a connection of the neighbour's to what answers when it is told to."""
    house.ours("serve_slow", SLOW)
    house.network.set_fence(Fence(uid(1), services=(Service(NAME, SLOW, (OURS,)),)))
    assert house.other("hold", str(NAME), 80) == "held"
    return house


def seconds_left(house: House) -> float:
    (left,) = awaited.read(house.bed.asleep.table).values()
    return left


def test_a_neighbours_slow_call_keeps_it_awake_and_is_answered(caller: House) -> None:
    caller.start_waker()
    assert caller.other("ask", "1.5 a") == "asked"
    time.sleep(2 * QUIET)
    assert caller.bed.asleep.awaited() == {OURS}
    assert not caller.bed.lay(caller.sleeper, QUIET)
    assert caller.runs() and caller.bed.asleep.all() == []
    assert caller.other("hear", 5.0) == "1.5 a"
    assert caller.bed.asleep.awaited() == set()
    assert caller.bed.lay(caller.sleeper, 0.0), "the connection is kept, and nobody waits"
    assert caller.other("ask", "0 b") == "asked"
    assert caller.other("hear", 5.0) == "0 b"
    caller.until(caller.runs)


def test_the_slow_one_may_come_after_many_quick_ones(caller: House) -> None:
    """In the same second: what is taken out is gone only then."""
    for number in range(100):
        assert caller.other("say", f"0 {number}") == f"0 {number}"
    assert caller.bed.asleep.awaited() == set()
    caller.other("ask", "20 a")
    assert caller.bed.asleep.awaited() == {OURS}
    assert seconds_left(caller) > MOST_SECONDS - 60


def test_who_only_connects_or_has_given_up_waits_for_nothing(caller: House) -> None:
    assert caller.bed.asleep.awaited() == set()
    assert caller.bed.lay(caller.sleeper, 0.0)
    caller.bed.rouse(caller.sleeper)
    caller.other("ask", "20 a")
    assert not caller.bed.lay(caller.sleeper, 0.0)
    caller.other("end", "abort")
    assert caller.bed.asleep.awaited() == set()
    assert caller.bed.lay(caller.sleeper, 0.0)


def test_who_has_said_all_waits_for_as_long_as_its_connection_is_known(caller: House) -> None:
    caller.other("ask", "1 a")
    caller.other("end", "half")
    assert not caller.bed.lay(caller.sleeper, 0.0)
    assert CLOSED_SECONDS - 30 < seconds_left(caller) <= CLOSED_SECONDS
    assert caller.other("hear", 5.0) == "1 a"
    assert caller.bed.lay(caller.sleeper, 0.0)


def test_who_closes_after_it_was_answered_and_closed_upon_waits_for_nothing(caller: House) -> None:
    """As after each call of HTTP without keep-alive."""
    assert caller.other("say", "0 bye") == "0 bye"
    assert caller.other("hear", 5.0) == "", "the app has closed"
    caller.other("end", "half")
    assert caller.bed.asleep.awaited() == set()
    assert caller.bed.lay(caller.sleeper, 0.0)


@pytest.mark.parametrize(("number", "address"), [("0", OURS), ("1", OTHER)])
def test_nobody_waits_once_either_container_has_ended(caller: House, number: str, address: IPv4Address) -> None:
    caller.other("ask", "20 a")
    assert caller.bed.asleep.awaited() == {OURS}
    caller.network.disconnect(number * 12, address)
    assert caller.bed.asleep.awaited() == set()


def test_rules_that_are_made_again_hold_who_waits(caller: House) -> None:
    caller.other("ask", "20 a")
    left = seconds_left(caller)
    caller.network._replace_table()
    assert caller.bed.asleep.awaited() == {OURS}
    assert left - 30 < seconds_left(caller) <= left + 1
    assert not caller.bed.lay(caller.sleeper, 0.0)
    caller.lose_the_table()
    caller.network.apply_base()
    assert caller.bed.asleep.awaited() == set()
    caller.other("end", "half")
    assert caller.bed.asleep.awaited() == {OURS}, "of what was lost the next packet tells"


def test_of_visitors_the_ingress_tells(house: House) -> None:
    house.ours("serve_slow", SLOW)
    with socket.create_connection((str(OURS), SLOW), timeout=20) as visitor:
        visitor.sendall(b"1 a")
        assert house.bed.asleep.awaited() == set()
        assert visitor.recv(100) == b"1 a"
