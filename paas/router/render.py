"""Routes -> Caddy's JSON configuration: pure. Caddy 2.11, https://caddyserver.com/docs/json/

One server, and in it: the dashboard by its host, then one route a tenant with that tenant's apps below it
(Caddy tries routes one by one; a flat list of thousands is slow), then "there is no app here".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address
from itertools import groupby
from pathlib import Path
from typing import Any

from paas.errors import BadInput
from paas.router.pages import TEXTS, page
from paas.specs import Route

Json = dict[str, Any]

BODY_MAX_BYTES = 300 * 1000 * 1000  # of the dashboard: the largest source archive and room around it
# A small form waits here until it is whole, so that a slow sender holds none of the web process's threads.
FORM_BYTES = 1024 * 1024
# Any load of a configuration replaces the server: what runs over the old one may go on for so long.
OLD_CONNECTIONS_LIVE = "10m"

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
# What other proxies say about a client, and nobody but Caddy may say here. It replaces X-Forwarded-For,
# -Host and -Proto by itself. `Proxy` would become HTTP_PROXY in a CGI program.
_HEARSAY = [
    "Forwarded", "Proxy", "X-Client-Ip", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Scheme",
    "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Original-Url", "X-Real-Ip", "X-Rewrite-Url",
]  # fmt: skip


def render(
    routes: Sequence[Route],
    *,
    port: int,
    dashboard_host: str,
    web_socket: Path,
    streams_socket: Path,
    admin_socket: Path,
    domain: str,
) -> Json:
    """The whole configuration: what `caddy run --config` and the admin API's `/load` take.

    Raises BadInput for a host or an upstream that is not plainly one: Caddy would expand patterns and
    placeholders, and dial sockets of the host, where it finds their syntax.
    """
    server = {
        "listen": [f":{port}"],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "read_header_timeout": "10s",
        "idle_timeout": "2m",
        "max_header_bytes": 64 * 1024,
        "routes": [
            {"handle": [_anonymous()]},
            _dashboard(_host(dashboard_host), web_socket, streams_socket),
            *_tenants(routes),
            _front_door(_host(domain), _host(dashboard_host), port),
            {"handle": [_fail(404)]},
        ],
        "errors": {"routes": _error_pages()},
    }
    return {
        "admin": {"listen": f"unix/{admin_socket}|0600", "config": {"persist": False}},
        "logging": {"logs": {"default": _log()}},
        "apps": {"http": {"grace_period": OLD_CONNECTIONS_LIVE, "servers": {"ingress": server}}},
    }


def _log() -> Json:
    """Problems, on stderr; whoever asks a dead app a thousand times a second cannot fill the disk.

    The admin API tells its problems to whoever asks it, and warns at each load that a socket has no host name.
    """
    ten_seconds = 10_000_000_000
    return {
        "writer": {"output": "stderr"},
        "level": "WARN",
        "exclude": ["admin", "admin.api"],
        "sampling": {"interval": ten_seconds, "first": 20, "thereafter": 1000},
    }


def _anonymous() -> Json:
    """Nobody speaks for a client but Caddy, and nothing says what served the answer."""
    deletion = {"deferred": True, "delete": ["Server", "Via"]}  # the proxy adds its own at the very end
    return {"handler": "headers", "request": {"delete": _HEARSAY}, "response": deletion}


def _dashboard(host: str, web_socket: Path, streams_socket: Path) -> Json:
    streams = _proxy([f"unix/{streams_socket}"])
    web = _proxy([f"unix/{web_socket}"]) | {"request_buffers": FORM_BYTES}
    limit = {"handler": "request_body", "max_size": BODY_MAX_BYTES}
    return _for_hosts(
        [host],
        [
            {"match": [{"path": ["/streams/*"]}], "terminal": True, "handle": [streams]},
            {"handle": [limit, web]},
        ],
    )


def _tenants(routes: Iterable[Route]) -> list[Json]:
    """One route a tenant, in the order of their ids, so that the same rows always make the same text."""
    ordered = sorted(routes, key=lambda route: (route.tenant_id, route.app_id))
    return [_tenant(list(apps)) for _, apps in groupby(ordered, key=lambda route: route.tenant_id)]


def _tenant(apps: Sequence[Route]) -> Json:
    hosts = sorted({_host(host) for app in apps for host in app.hosts})
    return _for_hosts(hosts, [_app(app) for app in apps])


def _app(route: Route) -> Json:
    upstreams = [_upstream(upstream) for upstream in route.upstreams]
    answer = _proxy(upstreams) if upstreams else _fail(503)
    return {"match": [{"host": [_host(host) for host in route.hosts]}], "terminal": True, "handle": [answer]}


def _front_door(domain: str, dashboard_host: str, port: int) -> Json:
    """The bare domain leads to the dashboard."""
    suffix = "" if port in (80, 443) else f":{port}"
    location = {"Location": [f"//{dashboard_host}{suffix}/"]}
    redirect = {"handler": "static_response", "status_code": 302, "headers": location}
    return {"match": [{"host": [domain], "path": ["/"]}], "terminal": True, "handle": [redirect]}


def _for_hosts(hosts: list[str], routes: list[Json]) -> Json:
    return {
        "match": [{"host": hosts}],
        "terminal": True,
        "handle": [{"handler": "subroute", "routes": routes}],
    }


def _proxy(upstreams: Sequence[str]) -> Json:
    """Ask one of `upstreams`. A connection that cannot be made is tried again for 5 s, a GET that got no
    answer too: an app that restarts, or a web process that does, costs its visitors a moment.

    A short flush interval and not -1, with which Caddy keeps asking upstream after the visitor has gone;
    server-sent events are flushed at once in any case.
    """
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": upstream} for upstream in upstreams],
        "transport": {"protocol": "http", "versions": ["1.1"], "dial_timeout": "3s", "compression": False},
        "load_balancing": {
            "selection_policy": {"policy": "least_conn"},
            "try_duration": "5s",
            "try_interval": "50ms",
        },
        "flush_interval": "20ms",
        "stream_close_delay": OLD_CONNECTIONS_LIVE,
        # nginx, as an app, compresses nothing for a client that comes by a proxy.
        "headers": {"request": {"delete": ["Via"]}},
    }


def _fail(status: int) -> Json:
    return {"handler": "error", "status_code": status}


def _error_pages() -> list[Json]:
    """What `_fail`, and a proxy that got no answer, look like; an app's own errors are left to the app."""
    *known, fallback = TEXTS
    status_is = "{http.error.status_code}"
    return [
        {"handle": [{"handler": "headers", "response": {"delete": ["Server"]}}]},
        *({"match": [{"vars": {status_is: [str(status)]}}], "handle": [_page(status)]} for status in known),
        {"handle": [_page(fallback) | {"status_code": status_is}]},
    ]


def _page(status: int) -> Json:
    headers = {
        "Content-Type": ["text/html; charset=utf-8"],
        "Cache-Control": ["no-store"],
        "Content-Security-Policy": ["default-src 'none'; style-src 'unsafe-inline'"],
    }
    return {"handler": "static_response", "status_code": status, "headers": headers, "body": page(status)}


def _host(text: str) -> str:
    host = text.lower()
    if not _HOST.fullmatch(host):
        raise BadInput(f"{text!r} is no host name", hint="use letters, digits, hyphens and dots")
    return host


def _upstream(text: str) -> str:
    address, _, port = text.rpartition(":")
    try:
        if f"{IPv4Address(address)}:{int(port)}" == text and 0 < int(port) < 65_536:
            return text
    except (AddressValueError, ValueError):
        pass
    raise BadInput(
        f"{text!r} is no upstream", hint='an upstream is an IPv4 address and a port: "10.0.0.1:8000"'
    )
