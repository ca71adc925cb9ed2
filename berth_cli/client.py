"""The API over HTTP. Errors of the server become CliErrors with its own words."""

from __future__ import annotations

import ipaddress
import json
import ssl
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import BaseHTTPResponse as Response
from urllib3.exceptions import HTTPError

from berth_cli.errors import CliError, NotHere, Unreachable
from berth_cli.login import Login

SECONDS = 30.0  # to connect, and for an answer to begin
UPLOAD_SECONDS = 60.0  # for the server to take a piece
STREAM_SECONDS = 45.0  # the server says something every 15 seconds
AT_ONCE = 8  # connections that are kept, for those who share a client
PIECE = 64 * 1024
_KINDS: dict[int, type[CliError]] = {404: NotHere, **dict.fromkeys((502, 503, 504), Unreachable)}


def is_localhost(host: str) -> bool:
    """Names below .localhost are this machine (RFC 6761, 6.3), whether the resolver knows them or not."""
    return host.rstrip(".").lower().endswith(".localhost")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or is_localhost(host)


def _trusted() -> ssl.SSLContext:
    """Whom the machine trusts, and Mozilla: Python has no list of its own, and not every machine one for it."""
    import certifi  # noqa: PLC0415  plain HTTP needs none

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _connections(server: SplitResult) -> urllib3.PoolManager:
    """To one server; through a proxy where one is to be used. None is on the way to this machine."""
    host = server.hostname or ""
    options: dict[str, Any] = {"maxsize": AT_ONCE, "retries": False}
    if server.scheme == "https":
        options["ssl_context"] = _trusted()
        if is_localhost(host):
            options |= {"server_hostname": host, "assert_hostname": host}
    proxies = getproxies()
    proxy = proxies.get(server.scheme) or proxies.get("all")
    if not proxy or _is_this_machine(host) or proxy_bypass(host) or proxy_bypass(server.netloc):
        return urllib3.PoolManager(**options)
    way = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    if way.username:
        who = f"{unquote(way.username)}:{unquote(way.password or '')}"
        options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=who)
    try:
        return urllib3.ProxyManager(way.geturl(), **options)
    except (HTTPError, ValueError) as error:
        hint = "Give an http:// or https:// one in http_proxy and https_proxy, or name the server in no_proxy."
        raise CliError(f"{way.scheme}://{way.hostname} cannot be used as a proxy: {error}", hint) from None


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
        try:
            port = f":{parts.port}" if parts.port else ""
        except ValueError:  # it is none
            port = None
        if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
            raise CliError(f"{login.url!r} is not an address", "Give one such as http://berth.localhost:8080.")
        self.url = login.url
        here = parts._replace(netloc=f"127.0.0.1{port}")
        self._where = (here if is_localhost(parts.hostname) else parts).geturl()
        self._connections = _connections(parts)
        self._headers = {
            "Host": parts.netloc,
            "Authorization": f"Bearer {login.token}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }

    def get(self, path: str, **params: Any) -> Any:
        return self.send("GET", path, params={k: v for k, v in params.items() if v is not None}).json()

    @contextmanager
    def events(self, path: str, after: str, **params: Any) -> Iterator[Iterator[Event]]:
        """Server-sent events of a stream below /streams/t/; `after` is the id of the last one that was had.

        Broken says that the connection did not last: ask again with the id that came last.
        """
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        address = f"/streams/t/{path}?{urlencode(params)}"
        try:
            with self._stream(address, headers, STREAM_SECONDS) as response:
                if response.status in (502, 503, 504):
                    raise Broken(f"the server answered {response.status}")
                if not _is_fine(response):
                    raise _error_of(response, "GET", f"/streams/t/{path}")
                yield parse_events(_lines(response))
        except HTTPError as error:
            raise Broken(_why(error)) from None

    @contextmanager
    def download(self, address: str) -> Iterator[Iterator[bytes]]:
        """What is at an address of this server that the API gave."""
        try:
            with self._stream(address, {}, SECONDS) as response:
                if not _is_fine(response):
                    raise _error_of(response, "GET", address)
                yield response.stream(PIECE)
        except HTTPError as error:
            raise Unreachable(f"the download broke: {_why(error)}", "Try again.") from None

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("POST", path, json={} if body is None else body).json()

    def put(self, path: str, body: Any) -> Any:
        return self.send("PUT", path, json=body).json()

    def patch(self, path: str, body: Any) -> Any:
        return self.send("PATCH", path, json=body).json()

    def delete(self, path: str, body: Any = None) -> None:
        self.send("DELETE", path, json=body)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        json: Any = None,
        content: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """`json` or `content` as the body; pieces need a Content-Length among the headers."""
        address = f"/api/v1/{path}?{urlencode(params)}" if params else f"/api/v1/{path}"
        options = {"json": json} if json is not None else {"body": content}
        try:
            response = self._connections.request(
                method,
                self._where + address,
                headers=self._headers | (headers or {}),
                timeout=urllib3.Timeout(connect=UPLOAD_SECONDS if content else SECONDS, read=SECONDS),
                redirect=False,
                **options,
            )
        except HTTPError as error:
            hint = "Check the address, and that Berth is running there."
            raise Unreachable(f"cannot reach {self.url}: {_why(error)}", hint) from None
        if _is_fine(response):
            return response
        raise _error_of(response, method, f"/api/v1/{path}")

    @contextmanager
    def _stream(self, address: str, headers: dict[str, str], seconds: float) -> Iterator[Response]:
        """An answer that is read as it comes, as it was sent."""
        response = self._connections.request(
            "GET",
            self._where + address,
            headers=self._headers | {"Accept-Encoding": "identity"} | headers,
            timeout=urllib3.Timeout(connect=SECONDS, read=seconds),
            redirect=False,
            preload_content=False,
        )
        try:
            yield response
        finally:
            response.close()


def _is_fine(response: Response) -> bool:
    return 200 <= response.status < 300


def _lines(response: Response) -> Iterator[str]:
    """Each as soon as it is there."""
    decoder, rest = getincrementaldecoder("utf-8")("replace"), ""
    while piece := response.read1(PIECE):
        *lines, rest = (rest + decoder.decode(piece)).split("\n")
        yield from (line.removesuffix("\r") for line in lines)


def _why(error: HTTPError) -> str:
    """What the system said, without where in the library."""
    reasons = (error.__cause__, *reversed(error.args), error)
    return next(
        (str(each) for each in reasons if isinstance(each, Exception) and str(each)), type(error).__name__
    )


def _error_of(response: Response, method: str, path: str) -> CliError:
    kind = _KINDS.get(response.status, CliError)
    try:
        error = response.json()["error"]
        return kind(str(error["summary"]), str(error["hint"]))
    except (ValueError, KeyError, TypeError):
        where = f"{method} {path}"
        return kind(f"{where}: the server answered {response.status}", "Is this the address of a Berth?")
