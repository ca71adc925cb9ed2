"""Settings -> Caddy's JSON configuration: pure. Caddy 2.11, https://caddyserver.com/docs/json/

One server, and in it: the dashboard by its host, the bare domain, then every app by a look into a folder (see
table), then "there is no app here". Nothing of it changes while the platform runs.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from paas.router.names import host
from paas.router.pages import TEXTS, page
from paas.router.table import MOST_IN_A_NAME, NONE

Json = dict[str, Any]

UPLOAD_BYTES = 300 * 1000 * 1000  # the largest source archive and room around it
UPLOADS = ["/api/v1/apps/*/*/deploys", "/t/*/*/deploy/"]
# A form waits here until it is whole, so that a slow sender holds none of the web process's threads.
FORM_BYTES = 1024 * 1024
# A new configuration comes with a restart only. Should somebody load one by hand: what runs may go on so long.
OLD_CONNECTIONS_LIVE = "10m"
# What may be sent again where a connection ends before there is an answer: Caddy does so for GET, and Go's
# transport for all of these. Only they go over a connection that was kept. An app ends those when it likes, or
# when it ends itself, and that may be the moment in which a request is sent.
REPEATABLE = ["GET", "HEAD", "OPTIONS"]
KEPT: Json = {"idle_timeout": "1s"}
NEVER_KEPT: Json = {"enabled": False}

_HOST = "^([a-z0-9]|[a-z0-9][a-z0-9.-]{0,251}[a-z0-9])$"
_UPSTREAM = "([0-9.]+):([0-9]+)"
_DIGIT = "{berth.digit}"
# Who could not be reached is not asked for a second: the others have more to do, so it would be asked first.
_NEXT_ONE: Json = {"health_checks": {"passive": {"fail_duration": "1s"}}}
# What other proxies say about a client, and nobody but Caddy may say here. It replaces X-Forwarded-For,
# -Host and -Proto by itself. `Proxy` would become HTTP_PROXY in a CGI program.
_HEARSAY = [
    "Forwarded", "Proxy", "X-Client-Ip", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Scheme",
    "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Original-Url", "X-Real-Ip", "X-Rewrite-Url",
]  # fmt: skip


def render(
    *,
    port: int,
    dashboard_host: str,
    web_socket: Path,
    streams_socket: Path,
    admin_socket: Path,
    domain: str,
    routes: Path,
) -> Json:
    """The whole configuration: what `caddy run --config` takes. `routes` is the folder of a Table.

    Raises BadInput for a host that is not plainly one.
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
            _lower_case(),
            _dashboard(host(dashboard_host), web_socket, streams_socket),
            _front_door(host(domain), host(dashboard_host), port),
            _apps(routes),
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


def _lower_case() -> Json:
    """A host is the same in any case, a folder's name is not."""
    changes = [{"search": upper, "replace": upper.lower()} for upper in string.ascii_uppercase]
    return {
        "match": [{"header_regexp": {"Host": {"pattern": "[A-Z]"}}}],
        "handle": [{"handler": "headers", "request": {"replace": {"Host": changes}}}],
    }


def _dashboard(name: str, web_socket: Path, streams_socket: Path) -> Json:
    web = _proxy({"upstreams": [{"dial": f"unix/{web_socket}"}], "request_buffers": FORM_BYTES})
    streams = _proxy({"upstreams": [{"dial": f"unix/{streams_socket}"}]})
    form, upload = ({"handler": "request_body", "max_size": size} for size in (FORM_BYTES, UPLOAD_BYTES))
    return _for_hosts(
        [name],
        [
            {"match": [{"path": ["/streams/*"]}], "terminal": True, "handle": [form, streams]},
            {"match": [{"path": UPLOADS}], "terminal": True, "handle": [upload, web]},
            {"handle": [form, web]},
        ],
    )


def _apps(routes: Path) -> Json:
    """By the name of a file in the host's folder. What is plainly no host is not looked for.

    Caddy lists the folder first and then makes sure of the file that it chose, which may be gone by now. What
    replaces it was there before that: the second look finds it.
    """
    names = [f"/{{http.request.host}}/*{_DIGIT}*=*", f"/{{http.request.host}}/{NONE}"]
    found = {
        "match": [{"file": {"root": str(routes), "try_files": names * 2}}],
        "handle": [_subroute([*map(_app, range(1, MOST_IN_A_NAME + 1)), {"handle": [_fail(503)]}])],
    }
    draw = {
        "handler": "map",
        "source": "{http.request.uuid}",
        "destinations": [_DIGIT],
        "mappings": [{"input_regexp": "^(.)", "outputs": ["$1"]}],
    }
    return {"match": [_says("{http.request.host}", "host", _HOST)], "handle": [draw, _subroute([found])]}


def _app(number: int) -> Json:
    """To any of so many upstreams."""
    pattern = f"={','.join([_UPSTREAM] * number)}$"
    sources = [_source(2 * at + 1) for at in range(number)]
    several = {"dynamic_upstreams": {"source": "multi", "sources": sources}, **_NEXT_ONE}
    return {
        "match": [_says("{http.matchers.file.relative}", "to", pattern)],
        "terminal": True,
        "handle": [_proxy({"dynamic_upstreams": sources[0]} if number == 1 else several)],
    }


def _says(variable: str, name: str, pattern: str) -> Json:
    return {"vars_regexp": {variable: {"name": name, "pattern": pattern}}}


def _source(at: int) -> Json:
    """Address and port are groups `at` and `at + 1` of the pattern. An address is a name of itself."""
    address, port = f"{{http.regexp.to.{at}}}", f"{{http.regexp.to.{at + 1}}}"
    return {"source": "a", "name": address, "port": port, "versions": {"ipv4": True, "ipv6": False}}


def _front_door(domain: str, dashboard_host: str, port: int) -> Json:
    """The bare domain leads to the dashboard."""
    suffix = "" if port in (80, 443) else f":{port}"
    location = {"Location": [f"//{dashboard_host}{suffix}/"]}
    redirect = {"handler": "static_response", "status_code": 302, "headers": location}
    return {"match": [{"host": [domain], "path": ["/"]}], "terminal": True, "handle": [redirect]}


def _for_hosts(hosts: list[str], routes: list[Json]) -> Json:
    return {"match": [{"host": hosts}], "terminal": True, "handle": [_subroute(routes)]}


def _subroute(routes: list[Json]) -> Json:
    return {"handler": "subroute", "routes": routes}


def _proxy(upstreams: Json) -> Json:
    repeatable = {"match": [{"method": REPEATABLE}], "terminal": True, "handle": [_ask(upstreams, KEPT)]}
    return _subroute([repeatable, {"handle": [_ask(upstreams, NEVER_KEPT)]}])


def _ask(upstreams: Json, keep_alive: Json) -> Json:
    """Ask one of `upstreams`. A connection that cannot be made is tried again for 8 s, a GET that got no
    answer too: an app that restarts, or a web process that does, costs its visitors a moment.

    Upstreams are on this machine: the kernel accepts a connection at once, or the app has no room for it. Of
    many who wake it together it drops the others' first packets, and sends them again after a second, two, four
    (tcp(7)), all at once, so that few find room. So an attempt is short, and another begins.

    A short flush interval and not -1, with which Caddy keeps asking upstream after the visitor has gone;
    server-sent events are flushed at once in any case.
    """
    return {
        "handler": "reverse_proxy",
        **upstreams,
        "transport": {
            "protocol": "http",
            "versions": ["1.1"],
            "dial_timeout": "500ms",
            "compression": False,
            "keep_alive": keep_alive,
        },
        "load_balancing": {
            "selection_policy": {"policy": "least_conn"},
            "try_duration": "8s",
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
