from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address

import pytest

from paas.errors import CommandFailed
from paas.linux.command import Completed
from paas.specs import HealthCheck
from paas.worker import readiness
from paas.worker.readiness import answers, pause, succeeds, until_it_listens

HERE, US = IPv4Address("127.0.0.1"), os.getpid()


class App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/ok": 200, "/moved": 302}.get(self.path, 500))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "ready", "seen"),
    [
        (None, True, "are taken"),
        ("/ok", True, "GET /ok answered 200"),
        ("/moved", True, "GET /moved answered 302"),
        ("/broken", False, "GET /broken answered 500"),
    ],
)
def test_what_counts_as_ready(port: int, path: str | None, ready: bool, seen: str) -> None:
    got, why = answers(HERE, port, HealthCheck(path=path), US)
    assert got is ready and seen in why


def test_looks_are_frequent_at_first_and_late_by_a_twentieth_at_most() -> None:
    check = HealthCheck(interval=0.2)
    assert [pause(waited, check) for waited in (0.0, 0.05, 0.5, 1.9, 30.0)] == pytest.approx(
        [0.02, 0.02, 0.025, 0.095, 0.2]
    )


def test_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert answers(HERE, taken.getsockname()[1], HealthCheck(), US) == (
            False,
            f"nothing listens on port {taken.getsockname()[1]} ($PORT)",
        )


def test_a_pause_ends_when_something_listens() -> None:
    end = time.monotonic() + 60
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        port = late.getsockname()[1]
        timer = threading.Timer(0.1, late.listen)
        timer.start()
        until_it_listens(HERE, port, 60)
        timer.join()
        assert time.monotonic() < end


def test_a_pause_is_one_where_something_listened_before(port: int) -> None:
    begin = time.monotonic()
    until_it_listens(HERE, port, 0.1)
    assert time.monotonic() - begin >= 0.1


def test_who_listens_is_ready_when_somebody_takes_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "ATTEMPT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        nobody = f"nobody takes a connection on port {port} within 0.5 s"
        assert answers(HERE, port, HealthCheck(), US) == (False, nobody)
        server.accept()[0].close()  # that attempt's
        monkeypatch.undo()
        taken = list[socket.socket]()
        timer = threading.Timer(0.1, lambda: taken.append(server.accept()[0]))
        begin = time.monotonic()
        timer.start()
        ready, _ = answers(HERE, port, HealthCheck(), US)
        assert ready and time.monotonic() - begin >= 0.1
        timer.join()
        taken[0].close()


def test_who_listens_and_ends_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        timer = threading.Timer(0.1, lambda: server.shutdown(socket.SHUT_RDWR))
        timer.start()
        ready, seen = answers(HERE, port, HealthCheck(), US)
        timer.join()
    assert not ready and "reset" in seen


def test_who_is_handed_connections_that_say_something_is_ready_when_it_listens() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert answers(HERE, server.getsockname()[1], HealthCheck(), US)[0]


def _never_ends(connection: socket.socket, gone: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK"[:9])
    while not gone.wait(0.05):
        connection.sendall(b"a")


def _floods(connection: socket.socket, gone: threading.Event) -> None:
    while True:
        connection.sendall(b"a" * 65536)


def _hangs_up(connection: socket.socket, gone: threading.Event) -> None:
    connection.recv(1000)


@pytest.mark.parametrize(
    ("behave", "seen"),
    [
        (_never_ends, "no answer on port {port} within 0.5 s"),
        (_floods, "port {port}: its answer is not HTTP"),
        (_hangs_up, "port {port}: it hung up without an answer"),
    ],
)
def test_no_app_can_hold_up_who_asks_it(
    behave: Callable[[socket.socket, threading.Event], None], seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker waits for it: an app that drips its answer would keep that worker from everybody's deploys."""
    monkeypatch.setattr(readiness, "ATTEMPT_SECONDS", 0.5)
    gone = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection, suppress(ConnectionError):
            behave(connection, gone)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            assert answers(HERE, port, HealthCheck(path="/"), US) == (False, seen.format(port=port))
        finally:
            gone.set()
            thread.join()


def test_the_images_own_check() -> None:
    check = HealthCheck(command=("check",), attempt_timeout=2.0)

    def late(check: HealthCheck) -> Completed:
        raise CommandFailed("crun exec …", -9, "no end within 2 s")

    assert succeeds(lambda check: Completed("", "", 0), check)[0]
    assert succeeds(lambda check: Completed("out\n", "", 1), check) == (
        False,
        "the image's health check exited with 1: out",
    )
    assert succeeds(lambda check: Completed("out", "one\ntwo\n", 7), check)[1].endswith("exited with 7: two")
    assert succeeds(lambda check: Completed("", "", 3), check)[1].endswith("exited with 3")
    assert succeeds(late, check) == (False, "the image's health check did not end within 2 s")
