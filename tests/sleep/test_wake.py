"""Sleeping and waking on the real kernel: what wakes and what does not, and who may die meanwhile."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from paas.network import nflog
from paas.network.asleep import group
from tests.sleep.conftest import ECHO, NAME, OTHER, OURS, SINK, TCP, UDP, House

pytestmark = pytest.mark.kernel
BODY = 64 * 1024


def tcp(port: int = TCP) -> bytes:
    """From the host, as the ingress does."""
    with socket.create_connection((str(OURS), port), timeout=20) as connection:
        return connection.recv(100)


def udp() -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.sendto(b"?", (str(OURS), UDP))
        return sock.recv(100)


def pour() -> bytes:
    """The sink's answer to a body."""
    with socket.create_connection((str(OURS), SINK), timeout=20) as connection:
        connection.sendall(bytes(BODY))
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(100)


@pytest.mark.parametrize("packet", [tcp, udp])
def test_the_first_packet_wakes_and_is_answered(house: House, packet: Callable[[], bytes]) -> None:
    house.start_waker()
    assert house.bed.lay(house.sleeper, 0.0) and house.sleeps()
    assert packet() == b"10.208.0.1"
    house.until(lambda: bool(house.bed.told()) and house.runs())
    ((file, woken),) = house.bed.told()
    assert (woken.container_id, woken.since, woken.called) == ("0" * 12, 1.0, True)
    assert 0 < woken.seconds < 10
    assert house.bed.asleep.all() == []
    assert house.bed.asleep.called() == set()
    file.unlink()
    assert house.bed.told() == []


def test_a_neighbours_call_by_name_wakes(house: House) -> None:
    house.start_waker()
    house.bed.lay(house.sleeper, 0.0)
    for _ in range(10):  # it waits 0.4 seconds for its answer
        if (answer := house.other("tcp", str(NAME), TCP)) == str(OTHER):
            break
    assert answer == str(OTHER)
    house.until(house.runs)


def test_a_connection_survives_and_only_data_on_it_wakes(house: House) -> None:
    house.start_waker()
    with socket.create_connection((str(OURS), ECHO), timeout=20) as held:
        held.sendall(b"one")
        assert held.recv(100) == b"10.208.0.16 one"
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1)):
            held.setsockopt(socket.IPPROTO_TCP, option, value)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        house.bed.lay(house.sleeper, 0.0)
        time.sleep(2.2)  # two of the kernel's own questions whether the other end is there
        assert house.sleeps()
        held.sendall(b"two")
        assert held.recv(100) == b"10.208.0.16 two"
        house.until(house.runs)
    idle, reset = (socket.create_connection((str(OURS), ECHO), timeout=20) for _ in range(2))
    idle.sendall(b"x")
    idle.recv(100)
    house.bed.lay(house.sleeper, 0.0)
    idle.close()
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reset.close()
    time.sleep(0.2)
    assert house.sleeps() and house.bed.asleep.called() == set()


def test_a_call_while_the_waker_is_dead_is_heard_when_it_starts(house: House) -> None:
    house.start_waker()
    assert nflog.is_bound(group("bx"))
    house.kill_waker()
    assert not nflog.is_bound(group("bx"))
    house.bed.lay(house.sleeper, 0.0)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(tcp)
        house.until(lambda: bool(house.bed.asleep.called()))
        assert house.sleeps()
        house.start_waker()
        assert answer.result(20) == b"10.208.0.1"
    house.until(house.runs)


@pytest.mark.parametrize("note", [b"", b"x", b"x" * 16, b"\xff" * 24])
def test_a_note_of_pages_that_makes_no_sense_stops_no_wake_and_is_told_of_once(
    house: House, note: bytes
) -> None:
    house.start_waker()
    for _ in range(2):
        house.bed.lay(house.sleeper, 0.0)
        house.bed.asleep.hot(OURS).write_bytes(note)
        assert tcp() == b"10.208.0.1"
        house.until(lambda: not house.bed.asleep.all())  # the last thing that a wake does
        assert house.runs()
    assert house.kill_waker().count(b"cannot be fetched ahead") == bool(note)


def test_fifty_first_callers_at_once_are_all_answered(house: House) -> None:
    house.start_waker()
    house.bed.lay(house.sleeper, 0.0)
    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(tcp) for _ in range(50)]
        assert {answer.result(30) for answer in answers} == {b"10.208.0.1"}
    assert [woken.called for _, woken in house.bed.told()] == [True]


def test_callers_for_whom_it_has_no_room_yet_are_not_turned_away(house: House) -> None:
    """Each sends more than one packet holds: of a caller whom a cookie stands for, the kernel answers the
    second one by a reset."""
    house.ours("serve_sink", SINK, 1)
    house.bed.lay(house.sleeper, 0.0)
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(pour) for _ in range(12)]
        time.sleep(0.3)  # for all to have called
        house.start_waker()
        assert {answer.result(30) for answer in answers} == {str(BODY).encode()}


def test_whatever_comes_between_a_packet_is_never_lost(house: House) -> None:
    """Visitors all the while, put to sleep again and again whenever it was quiet for a moment."""
    house.start_waker()
    ending, answered = threading.Event(), []

    def visit(pause: float) -> None:
        while not ending.wait(pause * random.random()):
            answered.append(tcp())

    slept = 0
    with ThreadPoolExecutor(2) as pool:
        visits = [pool.submit(visit, pause) for pause in (0.5, 0.9)]
        try:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                slept += house.bed.lay(house.sleeper, 0.25)
        finally:
            ending.set()
        for each in visits:
            each.result(25)
    assert slept > 1 and len(answered) > 5
    assert set(answered) == {b"10.208.0.1"}


def test_what_came_just_before_it_stood_still_is_answered(house: House) -> None:
    house.start_waker()
    with socket.create_connection((str(OURS), ECHO), timeout=20) as connection:
        connection.sendall(b"one")
        assert not house.bed.lay(house.sleeper, 5.0)
        assert connection.recv(100) == b"10.208.0.16 one"
    assert house.runs() and house.bed.asleep.all() == []
    assert house.bed.told() == [], "who never slept was not woken"
    time.sleep(0.6)
    assert house.bed.lay(house.sleeper, 0.5), "nor used by that"


def test_whoever_dies_in_the_middle_the_next_look_settles_it(house: House) -> None:
    asleep = house.bed.asleep
    asleep.write(house.sleeper)  # put to sleep, and killed here
    assert not house.bed.settle(house.sleeper)
    assert house.runs() and asleep.all() == []
    asleep.lay(house.sleeper)  # here
    assert not house.bed.settle(house.sleeper)
    assert house.runs() and asleep.all() == []
    asleep.lay(house.sleeper)
    house.cgroup.freeze()  # or here
    assert house.bed.settle(house.sleeper) and house.sleeps()
    asleep.lift(OURS)  # and woken, by one that is killed before its second thaw
    assert not house.bed.settle(house.sleeper)
    assert house.runs() and asleep.all() == []


def test_rules_that_are_made_again_hold_what_sleeps_and_who_called(house: House) -> None:
    house.bed.lay(house.sleeper, 0.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"?", (str(OURS), UDP))
    assert house.bed.asleep.called() == {OURS}
    house.network._replace_table()
    assert (house.bed.asleep.laid(), house.bed.asleep.called()) == ({OURS}, {OURS})
    house.lose_the_table()
    with socket.create_connection((str(OURS), TCP), timeout=20) as unheard:  # by no rule
        house.network.apply_base()
        assert (house.bed.asleep.laid(), house.bed.asleep.called()) == ({OURS}, {OURS})
        house.start_waker()
        assert unheard.recv(100) == b"10.208.0.1"
    house.until(house.runs)


def test_one_that_ends_asleep_leaves_nothing(house: House) -> None:
    house.bed.lay(house.sleeper, 0.0)
    house.cgroup.kill()
    house.network.disconnect("0" * 12, OURS)
    asleep = house.bed.asleep
    assert (asleep.laid(), asleep.called(), asleep.all(), OURS in asleep.idle_seconds()) == (
        set(),
        set(),
        [],
        False,
    )


def test_idle_is_told_by_what_was_sent_either_way(house: House) -> None:
    tcp()
    time.sleep(0.3)
    idle = house.bed.asleep.idle_seconds()
    assert idle[OURS] > 0.29
    house.other("udp", "203.0.113.9", 9)  # to somewhere that is not
    assert house.bed.asleep.idle_seconds()[OURS] > 0.29
    tcp()
    assert house.bed.asleep.idle_seconds()[OURS] < idle[OURS]


def test_whether_it_was_used_is_known_until_it_wakes(house: House) -> None:
    house.bed.watch(OURS, house.cgroup)
    assert not house.bed.asleep.was_used(OURS)
    time.sleep(0.1)  # the kernel counts in ticks
    tcp()
    house.bed.watch(OURS, house.cgroup)  # again is nothing
    assert house.bed.asleep.was_used(OURS)
    house.bed.lay(house.sleeper, 0.0)
    house.bed.rouse(house.sleeper)
    assert not house.bed.asleep.was_used(OURS)
