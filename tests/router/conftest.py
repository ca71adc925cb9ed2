"""A real Caddy on a loopback port, with upstreams in threads of the test."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paas.paths import Paths
from paas.router import Caddy, Table, write_boot_config
from paas.specs import Route

CADDY = Path(sys.executable).with_name("caddy")
DASHBOARD = "berth.test.example"
DOMAIN = "test.example"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Ingress:
    """A running Caddy and how to ask it."""

    port: int
    paths: Paths
    caddy: Caddy
    boot_config: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def load(self, *routes: Route) -> bool:
        return Table(self.paths.routes).write(routes)

    def connect(self) -> closing[http.client.HTTPConnection]:
        return closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20))

    def ask(
        self,
        host: str,
        path: str = "/",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        with self.connect() as connection:
            connection.request(method, path, body, {"Host": host, **(headers or {})})
            response = connection.getresponse()
            text = response.read().decode()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, text)

    def start(self) -> None:
        environment = {"HOME": str(self.paths.state), "XDG_DATA_HOME": str(self.paths.state)}
        self.processes.append(
            subprocess.Popen(
                [CADDY, "run", "--config", str(self.boot_config)], env=environment, stderr=subprocess.DEVNULL
            )
        )
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "Caddy did not start"
                time.sleep(0.02)

    def kill(self) -> None:
        process = self.processes.pop()
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def ingress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingress]:
    folder = tmp_path_factory.mktemp("in")
    paths = Paths(state=folder, run=folder)
    paths.web_socket.parent.mkdir()
    paths.routes.mkdir()
    ingress = Ingress(free_port(), paths, Caddy(paths.caddy_admin_socket), folder / "boot.json")
    settings = SimpleNamespace(PORT=ingress.port, DASHBOARD_HOST=DASHBOARD, DOMAIN=DOMAIN, PATHS=paths)
    write_boot_config(ingress.boot_config, settings)
    try:
        ingress.start()
        yield ingress
    finally:
        while ingress.processes:
            ingress.kill()
        shutil.rmtree(folder)


class Upstream(BaseHTTPRequestHandler):
    """Answers what it was asked, as JSON; /slowly streams; /switch speaks another protocol; /once hangs up when
    the next request is there."""

    protocol_version = "HTTP/1.1"
    name = ""

    def do_GET(self) -> None:
        if "/slowly" in self.path:
            return self._stream()
        if self.path == "/switch":
            return self._switch()
        if self.path == "/once":
            return self._once()
        status = int(self.headers.get("X-Answer", "200"))
        body = json.dumps({"name": self.name, "path": self.path, "headers": dict(self.headers)}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Via", "the app's own")
        self.end_headers()
        self.wfile.write(body)
        return None

    def do_POST(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        size = len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", str(len(str(size))))
        self.end_headers()
        self.wfile.write(str(size).encode())

    def _stream(self) -> None:
        """Two words; the second only once the test has read the first."""
        self.send_response(200)
        self.send_header("Content-Type", self.path.partition("?")[2] or "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        assert self.server.go_on.wait(10)  # type: ignore[attr-defined]
        self.wfile.write(b"data: second\n\n")
        self.close_connection = True

    def _switch(self) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.end_headers()
        self.wfile.flush()
        while line := self.rfile.readline():
            self.wfile.write(line.upper())
        self.close_connection = True

    def _once(self) -> None:
        """As an app whose patience with an idle connection ends at that very moment."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()
        self.rfile.read(1)
        self.close_connection = True

    def address_string(self) -> str:
        return "unix"  # a Unix socket's peer has no address

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(name: str, at: Path | None = None) -> Iterator[Any]:
    handler = type("Named", (Upstream,), {"name": name})
    server: Any = _UnixServer(str(at), handler) if at else ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.go_on = threading.Event()
    server.asked = 0
    server.dial = str(at) if at else f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.socket.close()
        if at:
            at.unlink()


Serve = Callable[..., Any]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda name, at=None: stack.enter_context(serving(name, at))


def route(app: str, hosts: Sequence[str], *upstreams: str, tenant: str = "111111111111") -> Route:
    return Route(tenant_id=tenant, app_id=app * 12, hosts=tuple(hosts), upstreams=upstreams)
