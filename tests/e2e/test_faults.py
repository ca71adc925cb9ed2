"""The control plane goes away and comes back; what tenants run does not notice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import redis

from tests.e2e.platform import PORT, ROOT, Platform, packed

pytestmark = pytest.mark.e2e
TABLE = "beberth"  # of the platform's copy, whose prefix is "be"
SITES = ("calm", "choppy", "stormy")


@pytest.fixture(scope="module", autouse=True)
def deploys(platform: Platform) -> None:
    """Of apps whose messages are lost while builds are under way: the broker is emptied, and killed."""
    socket = Path(platform.environment["BERTH_RUN"], "sockets", "valkey.sock")
    for name in SITES:
        platform.create(name)
        source = packed(ROOT / "examples/static-site")
        answer = platform.api(f"/apps/demo/{name}/deploys", "POST", source, "application/gzip")
        assert answer.status == 202, answer.body
        redis.Redis(unix_socket_path=str(socket)).flushall()
    os.kill(platform.pid("valkey"), signal.SIGKILL)
    assert platform.app("hello").status == 200


def test_a_container_that_dies_comes_back(platform: Platform) -> None:
    (before,) = platform.containers("hello")
    pids = subprocess.run(
        ["pgrep", "-f", "--", f"--cid {before['id']} "], capture_output=True, text=True, check=True
    )
    os.kill(int(pids.stdout.split()[0]), signal.SIGKILL)  # its conmon: the harshest end there is
    _kill_container(before["id"])
    end = time.monotonic() + 60
    while [c["id"] for c in platform.containers("hello")] == [before["id"]] or platform.app(
        "hello"
    ).status != 200:
        assert time.monotonic() < end
        time.sleep(0.5)


def test_slow_senders_hold_nobody_up(platform: Platform) -> None:
    """More of them than the web process has threads, none signed in, each about to send more and more."""
    head = "POST {} HTTP/1.1\r\nHost: berth.localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    head += "Cookie: csrftoken={}\r\nContent-Length: 3000000\r\n\r\n"
    with ExitStack() as senders:
        for number in range(24):
            path = ("/sign-in/", "/t/demo/hello/deploy/")[number % 2]
            sender = senders.enter_context(socket.create_connection(("127.0.0.1", PORT)))
            with suppress(ConnectionError):  # it may be told at once that it need not go on
                sender.sendall(head.format(path, "a" * 32).encode() + b"x" * 1_200_000)
        for _ in range(5):
            assert platform.request("berth.localhost", "/sign-in/").status == 200
            assert platform.app("hello").status == 200


def test_rules_that_somebody_flushed_come_back(platform: Platform) -> None:
    (container,) = platform.containers("hello")
    subprocess.run(["nft", "delete", "table", "inet", TABLE], check=True)
    end = time.monotonic() + 30
    while container["id"] not in _bindings():
        assert time.monotonic() < end
        time.sleep(0.5)
    assert platform.app("hello").status == 200


def test_down_leaves_apps_serving_and_up_adopts_them(platform: Platform) -> None:
    before = [c["id"] for c in platform.containers("hello")]
    platform.down()
    assert platform.app("hello").status == 200
    platform.up("--no-example")
    assert [c["id"] for c in platform.containers("hello")] == before
    assert platform.app("hello").status == 200


def test_a_broker_that_is_flushed_and_killed_loses_no_deploy(platform: Platform) -> None:
    """Whose message is lost is found by the sweep, within half a minute: other tests have had their time."""
    for name in SITES:
        assert platform.settled(name)["status"] == "live"
        assert platform.app(name).status == 200
        assert len(platform.releases(name)) == len(platform.containers(name)) == 1


def _bindings() -> str:
    listing = ["nft", "list", "set", "inet", TABLE, "bindings"]
    return subprocess.run(listing, capture_output=True, text=True, check=False).stdout


def _kill_container(container_id: str) -> None:
    for group in subprocess.run(
        ["find", "/sys/fs/cgroup", "-path", f"*/berth-e2e/*/{container_id}/cgroup.procs"],
        capture_output=True, text=True, check=True,
    ).stdout.split()[:1]:  # fmt: skip
        for pid in Path(group).read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
