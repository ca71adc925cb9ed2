"""An app's log as its containers write it, by server-sent events."""

from __future__ import annotations

import asyncio

from asgiref.sync import sync_to_async
from django.http.response import HttpResponseBase

from tenants.apps.access import app_for, app_seen_by
from tenants.apps.models import App
from tenants.containers.following import Following
from tenants.containers.logs import AppLine
from tenants.pages import SignedInRequest
from tenants.releases.streams import cut
from tenants.sse import Events, event, is_program, respond, streamed

PAUSE = 0.5
FIRST_LINES = 500
MOST_FIRST_LINES = 1000


@streamed
async def app_log(request: SignedInRequest, tenant: str, name: str) -> HttpResponseBase:
    """Events: `lines` (a list of [container, time, stream, text]), `skipped`, `caught-up`.

    The id of `lines` is where to go on: it goes into Last-Event-ID, or `after`. `process` chooses a process
    type, `lines` how many of the last ones to begin with. A page's lines are cut, those for a program are not.
    """

    def may() -> App:
        see = app_for if is_program(request) else app_seen_by
        return see(request.user, tenant, name)

    app = await sync_to_async(may)()
    after = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    events = follow(app, request.GET.get("process", ""), after, _first(request), whole=is_program(request))
    return respond(request, events, may=may)


def _first(request: SignedInRequest) -> int:
    asked = request.GET.get("lines", "")
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else FIRST_LINES
    return min(number, MOST_FIRST_LINES)


async def follow(
    app: App, process: str, after: str, first_lines: int = FIRST_LINES, *, whole: bool = False
) -> Events:
    """What is not sent because the reader is slow waits in the files: nothing is left out on the way."""
    following = await sync_to_async(Following.resume)(app, process, after)
    if following is None:
        following, lines = await sync_to_async(Following.begin)(app, process, first_lines)
        if lines:
            yield _lines(lines, following.mark, whole)
    yield event("caught-up", {}, id=following.mark)
    while True:
        lines, skipped, more = await sync_to_async(following.read)()
        if skipped:
            yield event("skipped", {})
        if lines:
            yield _lines(lines, following.mark, whole)
        if not more:
            await asyncio.sleep(PAUSE)


def _lines(lines: list[AppLine], mark: str, whole: bool) -> bytes:
    shown = [[ln.container, ln.at, ln.stream, ln.text if whole else cut(ln.text)] for ln in lines]
    return event("lines", shown, id=mark)
