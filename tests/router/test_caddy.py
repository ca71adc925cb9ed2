"""What visitors meet, by a real Caddy."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from paas.errors import HostProblem
from paas.router import Caddy
from paas.router.pages import TEXTS
from tests.router.conftest import DASHBOARD, DOMAIN, Ingress, Serve, route

HOST = "hello-acme.test.example"


# --- by host


def test_requests_go_to_the_app_of_their_host(ingress: Ingress, serve: Serve) -> None:
    one, two = serve("one"), serve("two")
    other = route("b", ["other-umbrella.test.example", "www.Umbrella.example"], two.dial, tenant="222222222222")
    ingress.load(route("a", [HOST], one.dial), other)
    assert ingress.ask(HOST).json["name"] == "one"
    assert ingress.ask("HELLO-acme.Test.example:8080").json["name"] == "one"
    assert ingress.ask("other-umbrella.test.example").json["name"] == "two"
    assert ingress.ask("www.umbrella.example").json["name"] == "two"


def test_requests_are_spread_over_an_apps_containers(ingress: Ingress, serve: Serve) -> None:
    one, two = serve("one"), serve("two")
    ingress.load(route("a", [HOST], one.dial, two.dial))
    assert {ingress.ask(HOST).json["name"] for _ in range(24)} == {"one", "two"}


def test_the_dashboard_and_its_streams(ingress: Ingress, serve: Serve) -> None:
    serve("web", ingress.paths.web_socket)
    serve("streams", ingress.paths.streams_socket)
    ingress.load()
    assert ingress.ask(DASHBOARD, "/apps/").json["name"] == "web"
    assert ingress.ask(DASHBOARD, "/static/berth.css").json["name"] == "web"
    assert ingress.ask(DASHBOARD, "/streams/builds/1/").json["name"] == "streams"
    assert ingress.ask(DASHBOARD, "/streams/../apps/").json["name"] == "web"


def test_an_app_has_no_way_to_the_dashboards_streams(ingress: Ingress, serve: Serve) -> None:
    ingress.load(route("a", [HOST], serve("one").dial))
    assert ingress.ask(HOST, "/streams/x").json["name"] == "one"


def test_the_bare_domain_leads_to_the_dashboard(ingress: Ingress) -> None:
    ingress.load()
    answer = ingress.ask(DOMAIN)
    assert (answer.status, answer.headers["location"]) == (302, f"//{DASHBOARD}:{ingress.port}/")


# --- what Caddy answers itself


def test_an_unknown_host(ingress: Ingress) -> None:
    ingress.load(route("a", [HOST]))
    answer = ingress.ask("nobody.test.example")
    assert answer.status == 404
    assert TEXTS[404][0] in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["*", "hello-*", "?ello-acme.test.example", "[h]ello-acme.test.example",
    "..", ".", "", "-", "{env.HOME}", "a" * 300, "hello-acme.test.example.", "hello-acme.test.example/."],
)  # fmt: skip
def test_what_is_no_host_finds_nothing(ingress: Ingress, serve: Serve, host: str) -> None:
    ingress.load(route("a", [HOST], serve("one").dial))
    assert ingress.ask(host).status in (400, 404)


def test_an_app_that_is_not_running(ingress: Ingress) -> None:
    ingress.load(route("a", [HOST]))
    answer = ingress.ask(HOST, "/some/page")
    assert answer.status == 503
    assert TEXTS[503][0] in answer.text
    assert "acme" not in answer.text


def test_an_app_whose_containers_do_not_answer(ingress: Ingress, serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"
    ingress.load(route("a", [HOST], nobody))
    before = time.monotonic()
    answer = ingress.ask(HOST)
    assert answer.status == 502
    assert TEXTS[502][0] in answer.text
    assert nobody not in answer.text
    assert 7 < time.monotonic() - before < 13


def test_one_dead_container_of_two_is_not_noticed(ingress: Ingress, serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"
    ingress.load(route("a", [HOST], nobody, serve("one").dial))
    assert {ingress.ask(HOST).status for _ in range(12)} == {200}
    assert {ingress.ask(HOST, method="POST", body=b"four").text for _ in range(12)} == {"4"}


def test_a_web_process_that_restarts_costs_a_moment(ingress: Ingress, serve: Serve) -> None:
    ingress.load()
    with ingress.connect() as connection:
        connection.request("POST", "/", b"four", {"Host": DASHBOARD})
        time.sleep(0.3)  # nobody listens yet
        serve("web", ingress.paths.web_socket)
        assert connection.getresponse().read() == b"4"


@pytest.mark.parametrize("host", [HOST, DASHBOARD])
def test_what_nobody_may_repeat_goes_over_no_connection_that_may_just_end(
    ingress: Ingress, serve: Serve, host: str
) -> None:
    serve("web", ingress.paths.web_socket)
    ingress.load(route("a", [HOST], serve("one").dial))
    for method, body in (("GET", None), ("POST", b"four")):
        assert ingress.ask(host, "/once").status == 200
        assert ingress.ask(host, method=method, body=body).status == 200


@pytest.mark.parametrize("status", [404, 500, 502, 503])
def test_an_apps_own_errors_are_left_alone(ingress: Ingress, serve: Serve, status: int) -> None:
    ingress.load(route("a", [HOST], serve("one").dial))
    answer = ingress.ask(HOST, headers={"X-Answer": str(status)})
    assert (answer.status, answer.json["name"]) == (status, "one")


UPLOAD = "/api/v1/apps/demo/shop/deploys"


@pytest.mark.parametrize(
    ("path", "most"), [("/", 1_048_576), ("/t/demo/shop/config/many/", 1_048_576), (UPLOAD, 300_000_000)]
)
def test_what_is_sent_to_the_dashboard_has_a_limit(
    ingress: Ingress, serve: Serve, path: str, most: int
) -> None:
    serve("web", ingress.paths.web_socket)
    assert ingress.ask(DASHBOARD, path, method="POST", body=b"x" * 1_000_000).text == "1000000"
    with ingress.connect() as connection:
        connection.putrequest("POST", path, skip_host=True)
        for name, value in {"Host": DASHBOARD, "Content-Length": str(most + 1)}.items():
            connection.putheader(name, value)
        connection.endheaders(b"x" * 100_000)
        # The web process sees its sender fail, and Caddy says why, before all of it has been sent.
        with pytest.raises(ConnectionError):
            for _ in range(4000):
                connection.send(b"x" * 100_000)


@pytest.mark.parametrize("path", ["/t/demo/shop/deploy/", UPLOAD])
def test_sources_are_larger(ingress: Ingress, serve: Serve, path: str) -> None:
    serve("web", ingress.paths.web_socket)
    assert ingress.ask(DASHBOARD, path, method="POST", body=b"x" * 3_000_000).text == "3000000"


def test_a_form_that_comes_slowly_is_held_back_until_it_is_whole(ingress: Ingress, serve: Serve) -> None:
    web = serve("web", ingress.paths.web_socket)
    with ingress.connect() as connection:
        connection.putrequest("POST", "/sign-in/", skip_host=True)
        for name, value in {"Host": DASHBOARD, "Content-Length": "4"}.items():
            connection.putheader(name, value)
        connection.endheaders(b"fo")
        time.sleep(0.3)
        assert web.asked == 0
        connection.send(b"ur")
        assert connection.getresponse().read() == b"4"


def test_headers_that_never_end_are_cut_off_by_size(ingress: Ingress) -> None:
    try:
        status = ingress.ask(HOST, headers={"X-Large": "x" * 200_000}).status
    except ConnectionError:  # it may hang up before it has read them all
        return
    assert status == 431


# --- what is said about the client


def test_forged_forwarding_headers_are_replaced(ingress: Ingress, serve: Serve) -> None:
    ingress.load(route("a", [HOST], serve("one").dial))
    forged = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "443",
        "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "Proxy": "http://evil.example/",
        "X-Original-URL": "/admin",
    }
    seen = {name.lower(): value for name, value in ingress.ask(HOST, headers=forged).json["headers"].items()}
    assert seen["host"] == HOST
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-host"] == HOST
    assert seen["x-forwarded-proto"] == "http"
    assert {"x-forwarded-port", "x-real-ip", "forwarded", "proxy", "x-original-url"}.isdisjoint(seen)
    assert not any("6.6.6.6" in value or "evil" in value for value in seen.values())


def test_nothing_tells_which_server_it_is(ingress: Ingress, serve: Serve) -> None:
    serve("web", ingress.paths.web_socket)
    ingress.load(route("a", [HOST], serve("one").dial), route("b", ["off.test.example"]))
    for host in (HOST, "off.test.example", "nobody.example", DASHBOARD, DOMAIN):
        answer = ingress.ask(host)
        assert {"server", "via"}.isdisjoint(answer.headers), host
        assert "caddy" not in str(answer).lower()


# --- streams


def _first(connection: http.client.HTTPConnection, host: str, path: str) -> http.client.HTTPResponse:
    connection.request("GET", path, headers={"Host": host})
    response = connection.getresponse()
    assert response.readline() == b"data: first\n"
    return response


@pytest.mark.parametrize("path", ["/slowly", "/slowly?text/plain"])
def test_what_an_app_streams_passes_at_once(ingress: Ingress, serve: Serve, path: str) -> None:
    app = serve("one")
    ingress.load(route("a", [HOST], app.dial))
    with ingress.connect() as connection:
        response = _first(connection, HOST, path)
        app.go_on.set()
        assert response.read() == b"\ndata: second\n\n"


def test_the_dashboards_events_pass_at_once_and_outlive_a_change_of_routes(
    ingress: Ingress, serve: Serve
) -> None:
    streams = serve("streams", ingress.paths.streams_socket)
    ingress.load()
    with ingress.connect() as connection:
        response = _first(connection, DASHBOARD, "/streams/slowly")
        assert ingress.load(route("a", [HOST]))
        streams.go_on.set()
        assert response.read() == b"\ndata: second\n\n"


def test_a_web_socket_stays_open_when_routes_change(ingress: Ingress, serve: Serve) -> None:
    app = route("a", [HOST], serve("one").dial)
    ingress.load(app)
    with (
        socket.create_connection(("127.0.0.1", ingress.port), timeout=5) as sock,
        sock.makefile("rwb") as stream,
    ):
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        stream.write(f"GET /switch HTTP/1.1\r\nHost: {HOST}\r\n{upgrade}\r\n".encode())
        stream.flush()
        assert b"101" in stream.readline()
        while stream.readline() != b"\r\n":
            pass
        for word in (b"before\n", b"after\n"):
            stream.write(word)
            stream.flush()
            assert stream.readline() == word.upper()
            ingress.load(app, route("b", ["new.test.example"]))


# --- the admin API


def test_a_caddy_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostProblem, match="Caddy does not answer") as caught:
        Caddy(tmp_path / "absent.sock").requests_in_flight()
    assert caught.value.retryable


def test_the_admin_socket_is_for_its_owner_only(ingress: Ingress) -> None:
    assert ingress.paths.caddy_admin_socket.stat().st_mode & 0o777 == 0o600


def test_requests_in_flight(ingress: Ingress, serve: Serve) -> None:
    app = serve("one")
    ingress.load(route("a", [HOST], app.dial))
    assert ingress.caddy.requests_in_flight().get(app.dial, 0) == 0
    with ingress.connect() as connection:
        response = _first(connection, HOST, "/slowly")
        assert ingress.caddy.requests_in_flight()[app.dial] == 1
        app.go_on.set()
        response.read()


def test_a_killed_caddy_comes_back_with_its_routes(ingress: Ingress, serve: Serve) -> None:
    ingress.load(route("a", [HOST], serve("one").dial))
    ingress.kill()
    ingress.start()
    assert ingress.ask(HOST).json["name"] == "one"


# --- when routes change


def test_what_is_told_is_what_is_asked_for(ingress: Ingress, serve: Serve) -> None:
    one, two = serve("one"), serve("two")
    for dial, name in ((one.dial, "one"), (two.dial, "two")) * 3:
        ingress.load(route("a", [HOST], dial))
        assert ingress.ask(HOST).json["name"] == name
    ingress.load(route("a", [HOST]))
    assert ingress.ask(HOST).status == 503
    ingress.load()
    assert ingress.ask(HOST).status == 404


@pytest.mark.parametrize("number", [1, 2, 11, 12, 40])
def test_every_one_of_an_apps_containers_is_asked(ingress: Ingress, serve: Serve, number: int) -> None:
    apps = [serve(str(name)) for name in range(number)]
    ingress.load(route("a", [HOST], *(app.dial for app in apps)))
    asked: set[str] = set()
    for _ in range(3000):
        asked.add(ingress.ask(HOST).json["name"])
        if len(asked) == number:
            return
    raise AssertionError(f"only {sorted(asked)} were asked")


@pytest.mark.parametrize("keeps", [False, True], ids=["new connections", "kept connections"])
def test_no_request_is_lost_over_200_switches(ingress: Ingress, serve: Serve, keeps: bool) -> None:
    """Neighbours come, go and move as well; a connection that a visitor keeps stays theirs throughout."""
    one, two = serve("one"), serve("two")
    steady = route("f", ["steady-umbrella.test.example"], one.dial, tenant="222222222222")
    ingress.load(route("a", [HOST], one.dial), steady)
    over = threading.Event()
    visitors = [Visitor(ingress, host, keeps) for host in (HOST, HOST, steady.hosts[0])]
    threads = [threading.Thread(target=visitor.visit, args=(over,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    try:
        for number in range(200):
            asked = [len(visitor.seen) for visitor in visitors]
            neighbour = [route("b", ["b.test.example"], two.dial)] if number % 3 else []
            ingress.load(route("a", [HOST], (one, two)[number % 2].dial), steady, *neighbour)
            while any(
                t.is_alive() and len(v.seen) == n for t, v, n in zip(threads, visitors, asked, strict=True)
            ):
                time.sleep(0.001)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    for visitor in visitors:
        assert visitor.problem is None
        assert len(visitor.seen) >= 200
        assert visitor.connections == (1 if keeps else len(visitor.seen))
    assert set(visitors[0].seen) == {"one", "two"}
    assert set(visitors[2].seen) == {"one"}


@dataclass
class Visitor:
    """Asks again and again, and stops at the first answer that is not the app's."""

    ingress: Ingress
    host: str
    keeps: bool
    seen: list[str] = field(default_factory=list)
    connections: int = 0
    problem: Exception | None = None

    def visit(self, over: threading.Event) -> None:
        try:
            while not over.is_set():
                self._over_one_connection(over)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.problem = error

    def _over_one_connection(self, over: threading.Event) -> None:
        self.connections += 1
        with self.ingress.connect() as connection:
            while True:
                connection.request("GET", "/", headers={"Host": self.host})
                self.seen.append(json.loads(connection.getresponse().read())["name"])
                if over.is_set() or not self.keeps:
                    return


def test_a_dead_container_costs_its_apps_visitors_nothing_while_others_are_busy(
    ingress: Ingress, serve: Serve
) -> None:
    """It has the fewest connections, so it would be asked first, again and again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"
    app = serve("one")
    ingress.load(route("a", [HOST], nobody, app.dial))
    with ingress.connect() as busy:
        response = _first(busy, HOST, "/slowly")
        assert {ingress.ask(HOST).status for _ in range(40)} == {200}
        app.go_on.set()
        response.read()


def test_a_thousand_apps(ingress: Ingress, serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    dial = serve("one").dial
    many = [
        route(f"{number:x}", [f"app{number}-t{number % 20}.test.example"], dial, tenant=f"{number % 20:012x}")
        for number in range(1000)
    ]
    before = time.perf_counter()
    ingress.load(*many)
    loaded = time.perf_counter()
    assert not ingress.load(*many)
    same = time.perf_counter()
    assert ingress.ask("app999-t19.test.example").status == 200
    answered = time.perf_counter()
    ingress.load()
    with capsys.disabled():
        times = [f"{1000 * t:.0f} ms" for t in (loaded - before, same - loaded, answered - same)]
        print(f"\n1,000 routes: written in {times[0]}, again in {times[1]}, answer in {times[2]}")
