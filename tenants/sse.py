"""Server-sent events: framing, heartbeats, and looking again whether the reader may still listen.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html. All data is JSON on one line, so that
nothing in a log can end an event or begin another.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import wraps
from importlib import import_module
from typing import Any, Concatenate, ParamSpec, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from paas.errors import BerthError, Refused
from tenants.accounts.secrets import digest
from tenants.accounts.tokens import TokenAuth, Unauthorized, live_tokens
from tenants.audit.responses import as_json
from tenants.pages import SignedInRequest

HEARTBEAT = 15.0  # seconds; proxies and browsers drop a connection that stays silent
LOOK_AGAIN = 60.0
RETRY_MS = 2000
P = ParamSpec("P")
Events = AsyncGenerator[bytes, None]


def event(name: str, data: object, *, id: str = "") -> bytes:
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def streamed(
    view: Callable[Concatenate[SignedInRequest, P], Coroutine[Any, Any, HttpResponseBase]],
) -> Callable[Concatenate[HttpRequest, P], Coroutine[Any, Any, HttpResponseBase]]:
    """For a signed-in reader on one of our own pages; else 401 or 403, which ends an EventSource for good.

    Or for a program with an API token, which is told of errors as the API does.
    """

    @wraps(view)
    async def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if is_foreign(request):
            raise Refused("streams are for this dashboard's own pages")
        if is_program(request):
            try:
                await sync_to_async(TokenAuth())(request)
                return await view(cast(SignedInRequest, request), *args, **kwargs)
            except Unauthorized as error:
                return as_json(error, status=401)
            except BerthError as error:
                return as_json(error)
        user = await request.auser()
        if not user.is_authenticated:
            return HttpResponse("Sign in first.\n", status=401, content_type="text/plain")
        request.user = user
        return await view(cast(SignedInRequest, request), *args, **kwargs)

    return checked


def is_program(request: HttpRequest) -> bool:
    return "Authorization" in request.headers


def is_foreign(request: HttpRequest) -> bool:
    """Whether a page of another origin asks. An app's own host is same-site with ours, and foreign."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in (None, "same-origin", "none"):
        return True
    return origin not in (None, settings.ORIGIN, f"{request.scheme}://{request.get_host()}")


def respond(request: SignedInRequest, events: Events, *, may: Callable[[], object]) -> StreamingHttpResponse:
    """`may` raises BerthError when the reader has lost the right to these events; it reads the database."""

    async def allowed() -> bool:
        return await sync_to_async(_allowed)(request, may)

    response = StreamingHttpResponse(paced(events, allowed), content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _allowed(request: HttpRequest, may: Callable[[], object]) -> bool:
    """Asked afresh: the session may have been ended, the password changed, the membership taken away."""
    lives = _token_lives if is_program(request) else _session_lives
    if not lives(request):
        return False
    try:
        may()
    except BerthError:
        return False
    return True


def _token_lives(request: HttpRequest) -> bool:
    _, _, secret = request.headers["Authorization"].partition(" ")
    return live_tokens().filter(digest=digest(secret)).exists()


def _session_lives(request: HttpRequest) -> bool:
    fresh = HttpRequest()
    fresh.session = import_module(settings.SESSION_ENGINE).SessionStore(request.session.session_key)
    return get_user(fresh).is_authenticated


async def paced(
    events: Events,
    allowed: Callable[[], Awaitable[bool]],
    *,
    heartbeat: float = HEARTBEAT,
    look_again: float = LOOK_AGAIN,
) -> AsyncIterator[bytes]:
    """`events` with comments in between; the last one is `gone` when the reader is not allowed any more."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    looked, waiting = time.monotonic(), None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(events, None))
            await asyncio.wait({waiting}, timeout=heartbeat)
            if time.monotonic() - looked >= look_again:
                looked = time.monotonic()
                if not await allowed():
                    yield event("gone", {})
                    return
            if not waiting.done():
                yield b":\n\n"
                continue
            found, waiting = waiting.result(), None
            if found is None:
                return
            yield found
    finally:
        if waiting is not None:
            waiting.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await waiting
        await events.aclose()
