from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.errors import BadInput
from paas.router import render
from paas.router.pages import TEXTS, page
from paas.specs import Route

RUN = Path("/run/berth/sockets")


def rendered(*routes: Route, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "port": 8080,
        "dashboard_host": "berth.localhost",
        "web_socket": RUN / "web.sock",
        "streams_socket": RUN / "streams.sock",
        "admin_socket": RUN / "caddy.sock",
        "domain": "localhost",
    }
    return render(routes, **{**arguments, **changes})


def ingress(config: dict[str, Any]) -> dict[str, Any]:
    server: dict[str, Any] = config["apps"]["http"]["servers"]["ingress"]
    return server


def test_the_whole_configuration() -> None:
    running = Route(
        "aaaaaaaaaaaa", "111111111111", ("hello-acme.localhost",), ("10.210.0.16:8000", "10.210.0.17:8000")
    )
    stopped = Route("aaaaaaaaaaaa", "222222222222", ("Other-Acme.localhost", "www.example.org"))
    golden = json.loads(Path(__file__).with_name("config.json").read_text())
    assert rendered(stopped, running) == golden


def test_nothing_but_the_ingress_listens_and_the_admin_api_is_a_socket_of_ones_own() -> None:
    config = rendered()
    assert config["admin"] == {
        "listen": "unix//run/berth/sockets/caddy.sock|0600",
        "config": {"persist": False},
    }
    assert list(config["apps"]) == ["http"]
    assert [server["listen"] for server in config["apps"]["http"]["servers"].values()] == [[":8080"]]


@pytest.mark.parametrize("port, location", [(8080, "//berth.localhost:8080/"), (80, "//berth.localhost/")])
def test_the_bare_domain_leads_to_the_dashboard(port: int, location: str) -> None:
    [redirect] = ingress(rendered(port=port))["routes"][-2]["handle"]
    assert redirect["headers"] == {"Location": [location]}


@pytest.mark.parametrize(
    "host",
    [
        "",
        "*",
        "*.example.org",
        "{env.HOME}",
        "a..b",
        "-a.b",
        "a-.b",
        "a/b",
        "a:80",
        "a b",
        "a\nb",
        "é.org",
        "a" * 254,
    ],
)
def test_what_is_no_host_name_is_refused(host: str) -> None:
    with pytest.raises(BadInput, match="is no host name"):
        rendered(Route("aaaaaaaaaaaa", "111111111111", (host,), ()))


@pytest.mark.parametrize(
    "upstream",
    ["", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:080", "10.0.0.1:+80", "unix//run/x", "app:80",
     "{env.X}:80", "10.0.0.1:80 ", "10.0.0.1:8000-9000", "[::1]:80"],
)  # fmt: skip
def test_what_is_no_upstream_is_refused(upstream: str) -> None:
    with pytest.raises(BadInput, match="is no upstream"):
        rendered(Route("aaaaaaaaaaaa", "111111111111", ("a.org",), (upstream,)))


ids = st.text("0123456789abcdef", min_size=12, max_size=12)
labels = st.text(string.ascii_letters + string.digits, min_size=1, max_size=10)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)
upstreams = st.builds("{}:{}".format, st.ip_addresses(v=4), st.integers(1, 65_535))
routes = st.lists(
    st.builds(
        Route,
        st.sampled_from(["a" * 12, "b" * 12, "c" * 12]),
        ids,
        st.lists(hosts, min_size=1, max_size=3).map(tuple),
        st.lists(upstreams, max_size=3).map(tuple),
    ),
    max_size=12,
    unique_by=lambda route: route.app_id,
)


@given(routes, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(given_routes: list[Route], random: Any) -> None:
    shuffled = list(given_routes)
    random.shuffle(shuffled)
    assert rendered(*shuffled) == rendered(*given_routes)


@given(routes)
def test_every_app_lies_in_its_tenants_group_which_matches_exactly_its_hosts(given_routes: list[Route]) -> None:
    groups = ingress(rendered(*given_routes))["routes"][2:-2]
    assert len(groups) == len({route.tenant_id for route in given_routes})
    apps = [app for group in groups for app in group["handle"][0]["routes"]]
    assert len(apps) == len(given_routes)
    for group in groups:
        below = [host for app in group["handle"][0]["routes"] for host in app["match"][0]["host"]]
        assert group["match"] == [{"host": sorted(set(below))}]
        assert all(host == host.lower() for host in below)


@given(routes)
def test_an_app_has_its_upstreams_and_no_others_or_the_page(given_routes: list[Route]) -> None:
    groups = ingress(rendered(*given_routes))["routes"][2:-2]
    found = {
        (tuple(app["match"][0]["host"]), tuple(up["dial"] for up in app["handle"][0].get("upstreams", ())))
        for group in groups
        for app in group["handle"][0]["routes"]
    }
    assert found == {(tuple(h.lower() for h in route.hosts), route.upstreams) for route in given_routes}


def test_the_dashboard_comes_before_every_tenant() -> None:
    squatter = Route("000000000000", "000000000000", ("berth.localhost",), ("10.210.0.16:8000",))
    assert ingress(rendered(squatter))["routes"][1]["match"] == [{"host": ["berth.localhost"]}]


@pytest.mark.parametrize("status", TEXTS)
def test_pages_have_nothing_that_caddy_would_expand_and_fetch_nothing(status: int) -> None:
    text = page(status)
    assert not set("{}") & set(text)
    assert "http" not in text
    assert str(status) in text
