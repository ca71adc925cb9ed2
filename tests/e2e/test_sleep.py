"""An app that sleeps behind the ingress: its visitors do not notice, and who only looks does not wake it."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from paas.specs import MIB
from tests.e2e.platform import PORT, ROOT, Platform, packed
from tests.swap import swapping

__all__ = ["swapping"]
pytestmark = [pytest.mark.e2e, pytest.mark.kernel]
APP = "drowsy"
TABLE = "beberth"  # of the platform's copy, whose prefix is "be"
VISITORS, BODY = 20, 3 * MIB
# It says who it is since its start, what it was sent, or, over a connection that is held, each line again.
SOURCE = """
import hashlib, http.server, os

WHO = os.urandom(8).hex()

class Drowsy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "websocket")
            self.end_headers()
            while line := self.rfile.readline():
                self.wfile.write(line)
        else:
            self.answer(WHO)

    def do_POST(self):
        self.answer(hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest())

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Drowsy).serve_forever()
"""
# As the agent does with one from which a visitor waits for an answer, after ten minutes. Then it waits until an
# agent that has just started has looked at everything.
LAY_DOWN = f"""
import time
from django.core.cache import cache
from paas.agent.run import HEARTBEAT
from paas.worker import sleep
from tenants.containers.models import Container

began = time.time()
print(sleep.put_to_sleep(Container.objects.get(app__name="{APP}", status="running"), 0.0))
while (cache.get(HEARTBEAT) or 0.0) < began:
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def who(platform: Platform, swapping: None) -> bytes:
    """It answers so until it is started again."""
    platform.create(APP)
    source = packed(ROOT / "examples/hello-python", **{"app.py": SOURCE, "berth.toml": ""})
    assert platform.deploy(APP, source)["status"] == "live"
    return platform.app(APP).body


def drowsy(platform: Platform) -> dict[str, Any]:
    (row,) = platform.containers(APP)
    return row


def until(condition: Callable[[], bool], every: float = 0.1) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(every)


def fall_asleep(platform: Platform) -> None:
    """By a person's order, which is for what is not in use."""
    wakes = drowsy(platform)["wakes"]

    def sleeps() -> bool:
        if drowsy(platform)["status"] != "sleeping":
            assert platform.api(f"/apps/demo/{APP}/sleep", "POST").status == 202
        return bool(drowsy(platform)["status"] == "sleeping")

    until(sleeps, every=0.5)
    assert drowsy(platform)["wakes"] == wakes


def has_woken(platform: Platform, times: int) -> bool:
    row = drowsy(platform)
    return (row["status"], row["wakes"]) == ("running", times)


def kill(platform: Platform, program: str) -> None:
    """Supervisor starts it again."""
    before = platform.pid(program)
    os.kill(before, signal.SIGKILL)
    until(lambda: platform.pid(program) not in (0, before))


@contextmanager
def held_connection() -> Iterator[socket.socket]:
    head = f"GET / HTTP/1.1\r\nHost: {APP}-demo.localhost:{PORT}\r\n"
    head += "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with socket.create_connection(("127.0.0.1", PORT), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += connection.recv(1)
        assert answer.startswith(b"HTTP/1.1 101 ")
        yield connection


def echo(connection: socket.socket, line: bytes) -> bytes:
    connection.sendall(line)
    return connection.recv(100)


def test_all_who_come_first_are_answered_by_one_wake(platform: Platform, who: bytes) -> None:
    """Every fourth of them sends something, which does not fit into what the kernel keeps for one that is
    frozen; nor do they all fit into the five that its server has room for."""
    body = os.urandom(BODY)
    sent = hashlib.sha256(body).hexdigest().encode()

    def visit(number: int) -> tuple[int, bytes]:
        answer = platform.request(f"{APP}-demo.localhost", "/", *(() if number % 4 else ("POST", body)))
        return answer.status, answer.body

    fall_asleep(platform)
    with ThreadPoolExecutor(VISITORS) as pool:
        answers = list(pool.map(visit, range(VISITORS)))
    assert answers == [(200, who if number % 4 else sent) for number in range(VISITORS)]
    until(lambda: has_woken(platform, 1))


def test_a_connection_outlasts_its_sleep_and_nothing_that_looks_wakes_it(
    platform: Platform, who: bytes
) -> None:
    with held_connection() as connection:
        assert echo(connection, b"one\n") == b"one\n"
        kill(platform, "agent")
        mounts = f"--mount={platform.environment['BERTH_RUN']}/ns/mount"
        assert "True" in platform.manage("shell", "-v", "0", "-c", LAY_DOWN, within=["nsenter", mounts])
        for path in ("/healthz/", "/t/demo/drowsy/"):
            assert platform.request("berth.localhost", path).status in (200, 302)
        for path in ("/machine/density?by=process", f"/apps/demo/{APP}/limits", "/tenants/demo/quota"):
            assert platform.api(path).status == 200, path
        assert (drowsy(platform)["status"], drowsy(platform)["wakes"]) == ("sleeping", 1)
        assert echo(connection, b"two\n") == b"two\n"
    assert platform.app(APP).body == who
    until(lambda: has_woken(platform, 2))


def test_who_comes_while_waker_and_agent_are_dead_is_answered(platform: Platform, who: bytes) -> None:
    fall_asleep(platform)
    os.kill(platform.pid("waker"), signal.SIGSTOP)  # in the middle of whatever it does
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(platform.app, APP)
        until(lambda: "elements" in _called())
        assert not answer.done()
        kill(platform, "agent")
        kill(platform, "waker")
        assert (answer.result(30).status, answer.result().body) == (200, who)
    until(lambda: has_woken(platform, 3))


def _called() -> str:
    listing = ["nft", "list", "set", "inet", TABLE, "called"]
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout
