"""Servers whose parent goes by the clock lose no worker by a sleep, and nobody stays held back."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from paas.linux import hot_pages, prefork, reclaim
from paas.sleep import parents
from tests.sleep.conftest import OURS, House
from tests.sleep.test_wake import tcp

pytestmark = pytest.mark.kernel
HERE = Path(__file__).parent
PORT = 8004
ROUNDS = 6
APP = """
import os
def app(environ, start):
    environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(str(os.getpid()))))])
    return [str(os.getpid()).encode()]
"""
POST = b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture
def watched(house: House) -> House:
    """One that has no patience for a worker that slept."""
    house.ours("start", sys.executable, "-I", "-S", str(HERE / "watched.py"), str(PORT))
    house.until(lambda: bool(answer()))
    return house


def answer() -> bytes:
    try:
        return tcp(PORT)
    except OSError:
        return b""


def served() -> int:
    with suppress(OSError):
        return post()
    return 0


def post() -> int:
    with socket.create_connection((str(OURS), PORT), timeout=20) as connection:
        connection.sendall(POST)
        with connection.makefile("rb") as reply:
            head, _, body = reply.read().partition(b"\r\n\r\n")
    assert head.split()[1:2] == [b"200"], head
    return int(body)


def family(house: House) -> tuple[int, list[int]]:
    (found,) = prefork.families(house.cgroup.pids())
    return found.parent, found.children


def nobody_is_held(house: House) -> bool:
    return not list(house.bed.held.iterdir())


def is_held(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].startswith(b"T")


def sleep_for(house: House, seconds: float) -> None:
    assert house.bed.lay(house.sleeper, 0.0)
    time.sleep(seconds)


def test_a_parent_is_known_by_where_its_child_listens(watched: House) -> None:
    parent, (child,) = family(watched)
    assert str(child).encode() == answer()
    assert prefork.families([child, watched.ours.pid]) == []
    assert hot_pages.used([parent, child]) > 0
    reclaim.page_out_process(child)
    (found,) = prefork.families([parent, child, 0x7FFFFFFF])
    assert found[:2] == (parent, [child]) and found.sockets
    assert prefork.families([parent, child, *range(1, 129)]) == [], "too many to look through at each sleep"


def test_a_worker_that_slept_for_long_is_not_taken_for_dead(watched: House) -> None:
    watched.start_waker()
    parent, (child,) = family(watched)
    for _ in range(3):
        sleep_for(watched, 0.8)
        assert answer() == str(child).encode()
        watched.until(lambda: nobody_is_held(watched))
        time.sleep(0.1)
        assert answer() == str(child).encode()
    assert not is_held(parent)


def gunicorn(house: House, folder: Path, timeout: int) -> None:
    (folder / "app.py").write_text(APP)
    command = (sys.executable, "-m", "gunicorn", "--no-control-socket", "--chdir", str(folder), "app:app")
    house.ours("start", *command, "-b", f"{OURS}:{PORT}", "--timeout", str(timeout), "--workers", "2")
    house.until(lambda: bool(served()) and len(family(house)[1]) == 2)
    house.start_waker()


def test_gunicorn_loses_no_worker_and_no_post(house: House, tmp_path: Path) -> None:
    gunicorn(house, tmp_path, 2)
    parent, children = family(house)
    for _ in range(ROUNDS):
        sleep_for(house, 2.2)
        assert post() in children
        house.until(lambda: nobody_is_held(house))
    time.sleep(2.2)
    assert family(house) == (parent, children)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_parent_that_is_wanted_is_let_go_at_once(
    house: House, tmp_path: Path, number: signal.Signals
) -> None:
    gunicorn(house, tmp_path, 60)  # each worker may wait for 30 seconds before it says anything
    parent, children = family(house)
    sleep_for(house, 0.0)
    post()
    time.sleep(0.6)
    assert is_held(parent)
    if number == signal.SIGKILL:
        os.kill(children[0], number)
        house.until(lambda: children[0] not in family(house)[1] and len(family(house)[1]) == 2)
    else:
        os.kill(parent, number)
        house.until(lambda: not prefork.families(house.cgroup.pids()))
    house.until(lambda: nobody_is_held(house))


def test_who_was_woken_by_nobodys_call_is_let_go_as_well(watched: House) -> None:
    watched.start_waker()
    parent, (child,) = family(watched)
    sleep_for(watched, 0.8)
    assert watched.bed.rouse(watched.sleeper)
    assert is_held(parent)
    watched.until(lambda: not is_held(parent))
    time.sleep(0.1)
    assert answer() == str(child).encode()


def test_nobody_stays_held_by_a_waker_that_was_killed_or_ended(watched: House) -> None:
    parent, _ = family(watched)
    sleep_for(watched, 0.0)
    watched.bed.rouse(watched.sleeper)
    time.sleep(0.5)
    assert is_held(parent), "there is no waker"
    watched.start_waker()
    watched.until(lambda: not is_held(parent))
    sleep_for(watched, 0.0)
    watched.bed.rouse(watched.sleeper)
    assert watched.waker and is_held(parent)
    watched.waker.send_signal(signal.SIGTERM)
    assert watched.waker.wait(10) == 0
    assert not is_held(parent) and nobody_is_held(watched)


def test_children_that_never_rest_hold_nobody_for_ever(watched: House) -> None:
    parent, _ = family(watched)
    sleep_for(watched, 0.0)
    watched.bed.rouse(watched.sleeper)
    assert parents.let_go(watched.bed.held), "too early"
    assert is_held(parent)
    assert not parents.let_go(watched.bed.held, most=0.0)
    assert not is_held(parent)


def test_a_note_that_makes_no_sense_stops_no_wake(watched: House) -> None:
    watched.start_waker()
    sleep_for(watched, 0.0)
    watched.bed.asleep.parents(OURS).write_text("{}")
    assert answer()
    watched.until(watched.runs)
    assert b"cannot be held back" in watched.kill_waker()


def test_a_caller_whom_no_child_takes_has_the_parent_let_go(house: House) -> None:
    """As with a server that makes a child for each connection, one of which is open and waits for long."""
    house.ours("start", sys.executable, "-I", "-S", str(HERE / "forking.py"), str(PORT))
    house.until(lambda: bool(answer()))
    with socket.create_connection((str(OURS), PORT), timeout=20) as held:
        held.recv(100)
        house.until(lambda: len(family(house)[1]) == 1)  # that of the caller before has ended
        parent, _ = family(house)
        house.start_waker()
        sleep_for(house, 0.0)
        noted = house.bed.asleep.parents(OURS).read_text()
        assert '"call": 2' in noted or '"call": 3' in noted, noted  # of 30 seconds
        began = time.monotonic()
        assert answer()
        assert time.monotonic() - began < 5
    assert not is_held(parent)


def test_one_note_that_cannot_be_read_keeps_nobody_else_held(watched: House) -> None:
    parent, _ = family(watched)
    sleep_for(watched, 0.0)
    watched.bed.rouse(watched.sleeper)
    (watched.bed.held / "10.208.0.1").write_text("{")
    (watched.bed.held / "10.208.255.1").write_text('{"of": "another version"}')
    watched.start_waker()
    watched.until(lambda: not is_held(parent) and nobody_is_held(watched))
    assert watched.waker and watched.waker.poll() is None
