"""ADD of an address, from inside the tenant's fences: what it reaches, and what it does not."""

from __future__ import annotations

import hashlib
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.conf import settings

from paas.errors import BadInput, StepFailed
from paas.worker import sandbox
from tests.network.conftest import Peer
from tests.worker.workbench import Workbench

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
UPLINK, PUBLIC, METADATA, PRIVATE = "203.0.113.1", "203.0.113.2", "169.254.169.254", "10.77.0.1"
_PLACES = {
    "public": PUBLIC,
    "metadata": METADATA,
    "private": PRIVATE,
    "loopback": "127.0.0.1:8765",
    "host": f"{UPLINK}:8765",
    "name": "localhost:8765",
}
FROM = "FROM debian:12\n"
BODY = "from far away\n"
SUM = hashlib.sha256(BODY.encode()).hexdigest()


def add(url: str, checksum: str = SUM, dest: str = "/srv/", flags: str = "") -> str:
    return f"{FROM}ADD {flags} --checksum=sha256:{checksum} {url} {dest}"


@pytest.fixture
def outside(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A machine behind the host's uplink, which has addresses that nobody should reach as well."""
    monkeypatch.setattr(sandbox, "CONNECT_SECONDS", 1)
    peer = Peer("--net")
    try:
        _ip(f"link add up0 type veth peer name eth0 netns {peer.pid}")
        _ip(f"address add {UPLINK}/24 dev up0")
        _ip("link set up0 up")
        _ip(f"route add default via {PUBLIC}")
        peer("run", "ip", "link", "set", "lo", "up")
        peer("run", "ip", "address", "add", f"{PUBLIC}/24", "dev", "eth0")
        for address in (METADATA, PRIVATE):
            peer("run", "ip", "address", "add", f"{address}/32", "dev", "lo")
        peer("run", "ip", "link", "set", "eth0", "up")
        targets = {name: f"http://{where}/file" for name, where in _PLACES.items()}
        targets["file"] = "file:///etc/passwd"
        moved = {f"/to-{name}": ["302 Found", f"Location: {url}\r\n", ""] for name, url in targets.items()}
        refused = {"/closed": ["403 Forbidden", "", ""], "/down": ["503 Service Unavailable", "", ""]}
        peer("serve_http", 80, {"/file": ["200 OK", "", BODY], **moved, **refused})
        yield peer
    finally:
        peer.end()


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


@pytest.fixture
def host_service() -> Iterator[list[str]]:
    """A service of the host on all of its addresses; who reached it."""
    reached: list[str] = []

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, peer = server.accept()
                with connection:
                    reached.append(peer[0])
                    connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{BODY}".encode())

    with socket.create_server(("", 8765)) as server:
        thread = threading.Thread(target=serve, args=[server])
        thread.start()
        yield reached
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_what_is_outside_is_fetched_once(bench: Workbench, outside: Peer) -> None:
    report = bench.build(add(f"http://{PUBLIC}/file"))
    made = bench.look(report, "srv/file")
    assert made.read_text() == BODY
    assert (stat.S_IMODE(made.stat().st_mode), made.stat().st_uid, made.stat().st_mtime) == (0o600, 0, 0)
    assert bench.build(add(f"http://{PUBLIC}/file")).steps_cached == 1
    assert len(outside("has_heard")) == 1
    report = bench.build(
        add(f"http://{PUBLIC}/to-public", dest="/srv/named", flags="--chmod=u=rw,go=r --chown=app")
    )
    made = bench.look(report, "srv/named")
    assert (made.read_text(), stat.S_IMODE(made.stat().st_mode), made.stat().st_uid) == (BODY, 0o644, 1000)


def test_what_is_not_there_or_is_something_else(bench: Workbench, outside: Peer) -> None:
    answers = {"none": ("404", "no such file"), "closed": ("403", "sign-in"), "down": ("503", "try again")}
    for name, (status, hint) in answers.items():
        said = rf"Dockerfile, line 2: ADD .* could not be fetched: the server answered {status};"
        with pytest.raises(StepFailed, match=said) as caught:
            bench.build(add(f"http://{PUBLIC}/{name}"))
        assert hint in caught.value.hint
    layers = set((settings.PATHS.store / "layers").iterdir())
    with pytest.raises(BadInput, match=f"has the checksum sha256:{SUM}, not sha256:{'0' * 64}"):
        bench.build(add(f"http://{PUBLIC}/file", checksum="0" * 64))
    assert set((settings.PATHS.store / "layers").iterdir()) == layers


def test_what_nobody_should_reach_is_not_reached(
    bench: Workbench, outside: Peer, host_service: list[str]
) -> None:
    """Neither by its address nor by a redirect from a place that is allowed."""
    forbidden = {name: where for name, where in _PLACES.items() if where != PUBLIC}
    for name, where in forbidden.items():
        for url in (f"http://{PUBLIC}/to-{name}", f"http://{where}/file"):
            with pytest.raises(StepFailed, match="could not be fetched: curl: ") as caught:
                bench.build(add(url))
            assert "not this machine or private networks" in caught.value.hint
    with pytest.raises(StepFailed, match="could not be fetched"):
        bench.build(add(f"http://{PUBLIC}/to-file"))
    assert host_service == []
    heard = [line.partition(" ")[2] for line in outside("has_heard")]
    assert heard == [*(f"/to-{name}" for name in forbidden), "/to-file"]
