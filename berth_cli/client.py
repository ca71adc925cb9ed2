"""The API over HTTP. Errors of the server become CliErrors with its own words."""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from berth_cli.errors import CliError, NotHere, Unreachable
from berth_cli.login import Login

TIMEOUT = httpx.Timeout(30.0, write=300.0)
_KINDS: dict[int, type[CliError]] = {404: NotHere, **dict.fromkeys((502, 503, 504), Unreachable)}
STREAM_TIMEOUT = httpx.Timeout(30.0, read=45.0)  # the server says something every 15 seconds


class LocalhostTransport(httpx.HTTPTransport):
    """Names below .localhost are this machine (RFC 6761, 6.3), whether the resolver knows them or not."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if is_localhost(request.url.host):
            request.extensions = {**request.extensions, "sni_hostname": request.url.host}
            request.url = request.url.copy_with(host="127.0.0.1")  # the Host header stays
        return super().handle_request(request)


def is_localhost(host: str) -> bool:
    return host.rstrip(".").lower().endswith(".localhost")


def _trust(scheme: str) -> ssl.SSLContext | bool:
    """Plain HTTP needs no certificates, and reading them would take longer than all else that is done here.

    What it gets instead trusts nobody.
    """
    return True if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or is_localhost(host)


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is "" when the event has none; `data` is what its JSON holds."""

    name: str
    data: Any
    id: str


class Broken(Exception):
    """A stream ended although nobody ended it; the text says how."""


def parse_events(lines: Iterator[str]) -> Iterator[Event]:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html; the data is JSON on one line."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield Event(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id", ""))
        fields = {}


class Client:
    """One server, one token. Paths are below /api/v1."""

    def __init__(self, login: Login) -> None:
        parts = urlsplit(login.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CliError(f"{login.url!r} is not an address", "Give one such as http://berth.localhost:8080.")
        self.url = login.url
        self._http = httpx.Client(
            base_url=f"{login.url}/api/v1/",
            headers={"Authorization": f"Bearer {login.token}", "Accept": "application/json"},
            transport=LocalhostTransport(verify=_trust(parts.scheme)),
            timeout=TIMEOUT,
            trust_env=not _is_this_machine(parts.hostname),  # no proxy on the way to this machine
        )

    def get(self, path: str, **params: Any) -> Any:
        return self.send("GET", path, params={k: v for k, v in params.items() if v is not None}).json()

    @contextmanager
    def events(self, path: str, after: str, **params: Any) -> Iterator[Iterator[Event]]:
        """Server-sent events of a stream below /streams/t/; `after` is the id of the last one that was had.

        Broken says that the connection did not last: ask again with the id that came last.
        """
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        url = f"{self.url}/streams/t/{path}"
        try:
            with self._http.stream(
                "GET", url, params=params, headers=headers, timeout=STREAM_TIMEOUT
            ) as response:
                if response.status_code in (502, 503, 504):
                    raise Broken(f"the server answered {response.status_code}")
                if not response.is_success:
                    response.read()
                    raise _error_of(response)
                yield parse_events(response.iter_lines())
        except httpx.HTTPError as error:
            raise Broken(str(error) or type(error).__name__) from None

    @contextmanager
    def download(self, address: str) -> Iterator[Iterator[bytes]]:
        """What is at an address of this server that the API gave."""
        try:
            with self._http.stream("GET", f"{self.url}{address}") as response:
                if not response.is_success:
                    response.read()
                    raise _error_of(response)
                yield response.iter_raw()
        except httpx.HTTPError as error:
            raise Unreachable(f"the download broke: {error or type(error).__name__}", "Try again.") from None

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("POST", path, json={} if body is None else body).json()

    def put(self, path: str, body: Any) -> Any:
        return self.send("PUT", path, json=body).json()

    def patch(self, path: str, body: Any) -> Any:
        return self.send("PATCH", path, json=body).json()

    def delete(self, path: str, body: Any) -> None:
        self.send("DELETE", path, json=body)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            hint = "Check the address, and that Berth is running there."
            raise Unreachable(f"cannot reach {self.url}: {error or type(error).__name__}", hint) from None
        if response.is_success:
            return response
        raise _error_of(response)


def _error_of(response: httpx.Response) -> CliError:
    kind = _KINDS.get(response.status_code, CliError)
    try:
        error = response.json()["error"]
        return kind(str(error["summary"]), str(error["hint"]))
    except (ValueError, KeyError, TypeError):
        where = f"{response.request.method} {response.request.url.path}"
        return kind(f"{where}: the server answered {response.status_code}", "Is this the address of a Berth?")
