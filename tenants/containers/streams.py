"""An app's log as its containers write it, by server-sent events."""

from __future__ import annotations

import asyncio
from heapq import merge
from pathlib import Path

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http.response import HttpResponseBase

from paas.logs import read_tail
from tenants.apps.access import app_for
from tenants.apps.models import App
from tenants.containers.logs import AppLine
from tenants.containers.models import Container
from tenants.containers.selectors import containers_to_read
from tenants.pages import SignedInRequest
from tenants.releases.streams import cut
from tenants.sse import Events, event, respond, streamed

PAUSE = 0.5
LOOK_FOR_CONTAINERS = 2.0
MOST = 500  # lines in each pause: a thousand a second, beyond that the oldest are left out


@streamed
async def app_log(request: SignedInRequest, tenant: str, name: str) -> HttpResponseBase:
    """Events: `lines` (a list of [container, time, stream, text]; its id is the last line's time), `skipped`.

    `process` chooses a process type; `after` or Last-Event-ID is the time to go on from.
    """

    def may() -> App:
        return app_for(request.user, tenant, name)

    app = await sync_to_async(may)()
    since = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    return respond(request, follow(app, request.GET.get("process", ""), since), may=may)


async def follow(app: App, process: str, since: str) -> Events:
    loop = asyncio.get_running_loop()
    rows: list[Container] = []
    before: dict[str, tuple[int, int]] = {}
    looked, first = 0.0, not since
    while True:
        if loop.time() - looked > LOOK_FOR_CONTAINERS:
            rows = await sync_to_async(chosen)(app, process)
            looked = loop.time()
        now = {row.pk: _mark(settings.PATHS.container_log(row.pk)) for row in rows}
        if now != before:
            before = now
            lines = await asyncio.to_thread(read_since, rows, since, MOST + 1)
            if len(lines) > MOST and not first:
                yield event("skipped", {})
            if lines := lines[-MOST:]:
                since = lines[-1].at
                yield event("lines", [[ln.container, ln.at, ln.stream, cut(ln.text)] for ln in lines], id=since)
        if first:
            yield event("caught-up", {})
            first = False
        await asyncio.sleep(PAUSE)


def chosen(app: App, process: str) -> list[Container]:
    return [row for row in containers_to_read(app) if process in ("", row.process_type)]


def read_since(rows: list[Container], since: str, most: int) -> list[AppLine]:
    """The last `most` lines of all together that are later than `since`, in the order of time."""
    tails = (_tail(row, most) for row in rows)
    return [line for line in merge(*tails, key=lambda line: line.at) if line.at > since][-most:]


def _tail(row: Container, most: int) -> list[AppLine]:
    try:
        return [
            AppLine(ln.at, str(row), ln.stream, ln.text)
            for ln in read_tail(settings.PATHS.container_log(row.pk), most)
        ]
    except FileNotFoundError:
        return []


def _mark(path: Path) -> tuple[int, int]:
    """Changes whenever the file does, also when it is rotated."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_ino, stat.st_size
