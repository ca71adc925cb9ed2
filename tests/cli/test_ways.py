"""The ways to a server: HTTPS with whom the machine trusts, and proxies. All servers are real, on loopback."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tests.cli.berth import Berth

NAME = "berth.example"  # resolves nowhere: only a proxy knows where it is
CREDENTIALS = "ann:a pass@word"
AUTHORIZED = "Basic " + base64.b64encode(CREDENTIALS.encode()).decode()


class Answers(BaseHTTPRequestHandler):
    """No apps, whatever is asked for."""

    def do_GET(self) -> None:
        body = b"[]"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


class Proxy(ThreadingHTTPServer):
    """One as companies have (RFC 9110, 9.3.6), for whom each name is the server at `port`."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Proxied)
        self.upstream = ("127.0.0.1", port)
        self.asked: list[tuple[str, str, str | None]] = []  # method, target, Proxy-Authorization


class Proxied(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self._note()
        upstream = http.client.HTTPConnection(*self.server.upstream)
        upstream.request("GET", self.path.partition(NAME)[2], headers={"Host": self.headers["Host"]})
        answer = upstream.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        upstream.close()

    def do_CONNECT(self) -> None:
        self._note()
        with socket.create_connection(self.server.upstream) as upstream:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_copy, args=(upstream, self.connection), daemon=True)
            back.start()
            _copy(self.connection, upstream)
            back.join(10)

    def _note(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Proxy-Authorization"]))

    def log_message(self, format: str, *args: object) -> None: ...


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    """Its port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return authority


@pytest.fixture
def serve(authority: trustme.CA) -> Iterator[Callable[..., int]]:
    """Start a server, over TLS where it is given a name; its port."""
    with ExitStack() as stack:

        def start(name: str = "") -> int:
            server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
            if name:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                authority.issue_cert(name).configure_cert(context)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            return stack.enter_context(serving(server))

        yield start


@pytest.fixture
def person(tmp_path: Path) -> Berth:
    home = tmp_path / "home"
    home.mkdir()
    return Berth(home, "", {"BERTH_TOKEN": "berth_x", "SSL_CERT_FILE": str(tmp_path / "authority.pem")})


def test_over_https_the_machines_authorities_are_trusted(person: Berth, serve: Callable[..., int]) -> None:
    port = serve("berth.localhost")
    person.env["BERTH_URL"] = f"https://berth.localhost:{port}"
    done = person.run("apps", "--json")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_certificate_of_nobody_whom_the_machine_trusts_is_refused(
    person: Berth, serve: Callable[..., int]
) -> None:
    port = serve("berth.localhost")
    del person.env["SSL_CERT_FILE"]
    person.env["BERTH_URL"] = f"https://berth.localhost:{port}"
    refused = person.run("apps")
    assert refused.returncode == 1 and "certificate verify failed" in refused.stderr
    assert "Traceback" not in refused.stderr and not refused.stdout


def test_a_certificate_for_another_name_is_refused(person: Berth, serve: Callable[..., int]) -> None:
    port = serve("other.localhost")
    person.env["BERTH_URL"] = f"https://berth.localhost:{port}"
    refused = person.run("apps")
    assert refused.returncode == 1 and "berth.localhost" in refused.stderr
    assert "Traceback" not in refused.stderr and not refused.stdout


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_a_proxy_is_asked_with_the_name_and_password_it_is_given_by(
    person: Berth, serve: Callable[..., int], variable: str
) -> None:
    with serving(proxy := Proxy(serve())) as port:
        person.env |= {
            "BERTH_URL": f"http://{NAME}",
            variable: f"http://ann:a%20pass%40word@127.0.0.1:{port}",
        }
        done = person.run("apps", "--json")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert {(method, authorized) for method, _, authorized in proxy.asked} == {("GET", AUTHORIZED)}
    assert all(target.startswith(f"http://{NAME}/api/v1/") for _, target, _ in proxy.asked)


def test_through_a_proxy_https_is_a_tunnel_to_the_servers_own_certificate(
    person: Berth, serve: Callable[..., int]
) -> None:
    with serving(proxy := Proxy(serve(NAME))) as port:
        person.env |= {
            "BERTH_URL": f"https://{NAME}",
            "https_proxy": f"ann:a%20pass%40word@127.0.0.1:{port}",
        }
        done = person.run("apps", "--json")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert set(proxy.asked) == {("CONNECT", f"{NAME}:443", AUTHORIZED)}


def test_a_proxy_cannot_play_the_server(person: Berth, serve: Callable[..., int]) -> None:
    with serving(Proxy(serve("other.example"))) as port:
        person.env |= {"BERTH_URL": f"https://{NAME}", "https_proxy": f"http://127.0.0.1:{port}"}
        refused = person.run("apps")
    assert refused.returncode == 1 and NAME in refused.stderr
    assert "Traceback" not in refused.stderr and not refused.stdout


def test_no_proxy_is_on_the_way_to_this_machine(person: Berth, serve: Callable[..., int]) -> None:
    with serving(proxy := Proxy(serve())) as port:
        person.env["http_proxy"] = f"http://127.0.0.1:{port}"
        for host in ("berth.localhost", "127.0.0.1"):
            person.env["BERTH_URL"] = f"http://{host}:{serve()}"
            assert person.run("apps", "--json").stdout.strip() == "[]"
    assert not proxy.asked


def test_a_proxy_of_another_kind_and_one_that_is_not_there_are_told(person: Berth) -> None:
    person.env |= {"BERTH_URL": f"http://{NAME}", "http_proxy": "socks5://127.0.0.1:1"}
    refused = person.run("apps")
    assert refused.returncode == 1 and "cannot be used as a proxy" in refused.stderr
    assert "Traceback" not in refused.stderr
    person.env["http_proxy"] = "http://127.0.0.1:1"
    gone = person.run("apps")
    assert gone.returncode == 1 and "127.0.0.1" in gone.stderr and "refused" in gone.stderr
    assert "Traceback" not in gone.stderr
