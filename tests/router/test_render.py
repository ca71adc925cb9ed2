from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paas.errors import BadInput
from paas.router import render
from paas.router.pages import TEXTS, page

RUN = Path("/run/berth/sockets")


def rendered(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "port": 8080,
        "dashboard_host": "berth.localhost",
        "web_socket": RUN / "web.sock",
        "streams_socket": RUN / "streams.sock",
        "admin_socket": RUN / "caddy.sock",
        "domain": "localhost",
        "routes": Path("/var/lib/berth/routes"),
    }
    return render(**{**arguments, **changes})


def ingress(config: dict[str, Any]) -> dict[str, Any]:
    server: dict[str, Any] = config["apps"]["http"]["servers"]["ingress"]
    return server


def test_the_whole_configuration() -> None:
    assert rendered() == json.loads(Path(__file__).with_name("config.json").read_text())


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
    [redirect] = ingress(rendered(port=port))["routes"][-3]["handle"]
    assert redirect["headers"] == {"Location": [location]}


@pytest.mark.parametrize("setting", ["domain", "dashboard_host"])
def test_what_is_no_host_name_is_refused(setting: str) -> None:
    with pytest.raises(BadInput, match="is no host name"):
        rendered(**{setting: "*.example.org"})


def test_the_dashboard_comes_before_every_app() -> None:
    assert ingress(rendered())["routes"][2]["match"] == [{"host": ["berth.localhost"]}]


@pytest.mark.parametrize("status", TEXTS)
def test_pages_have_nothing_that_caddy_would_expand_and_fetch_nothing(status: int) -> None:
    text = page(status)
    assert not set("{}") & set(text)
    assert "http" not in text
    assert str(status) in text
