"""A build's log as it is written, by server-sent events."""

from __future__ import annotations

import asyncio

from asgiref.sync import sync_to_async
from django.http.response import HttpResponseBase

from tenants.apps.access import app_for, app_seen_by
from tenants.pages import SignedInRequest
from tenants.releases.access import build_for
from tenants.releases.logs import ENDED, build_log_size, read_build_log
from tenants.releases.models import Build
from tenants.sse import Events, event, is_program, respond, streamed

PAUSE = 0.3
TAIL = 1024 * 1024  # a longer log is shown from here; the whole is there to download
LINE_MAX = 4000  # characters shown of one line


@streamed
async def build_log(request: SignedInRequest, tenant: str, name: str, build_id: str) -> HttpResponseBase:
    """Events: `lines` (a list of texts; its id is the byte offset to go on from), `skipped`, `end`."""

    def may() -> Build:
        see = app_for if is_program(request) else app_seen_by
        return build_for(see(request.user, tenant, name), build_id)

    found = await sync_to_async(may)()
    return respond(request, follow(found, _start(request)), may=may)


def _start(request: SignedInRequest) -> int:
    """EventSource sends the last id when it connects again itself; a page that was hidden asks by `after`."""
    asked = request.headers.get("Last-Event-ID") or request.GET.get("after") or "0"
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 16 else 0


async def follow(build: Build, offset: int) -> Events:
    size = build_log_size(build)
    if size < offset:  # a build that is tried again writes its log anew
        offset = 0
    if size - offset > TAIL:
        yield event("skipped", {"bytes": size - TAIL - offset})
        offset = size - TAIL
    while True:
        row = await Build.objects.aget(pk=build.pk)
        piece = read_build_log(row, offset)
        if piece.next_offset < offset:
            offset = 0
            yield event("again", {})
            continue
        data = piece.data if piece.done else _whole_lines(piece.data)
        if data:
            offset += len(data)
            yield event("lines", split(data), id=str(offset))
        if row.status in ENDED and offset >= build_log_size(row):
            yield event("end", {"status": row.status})
            return
        if not data:
            await asyncio.sleep(PAUSE)


def _whole_lines(data: bytes) -> bytes:
    """Without a last line that is still being written, unless it is far longer than what is shown of one."""
    end = data.rfind(b"\n") + 1
    return data[:end] if end or len(data) < 4 * LINE_MAX else data


def split(data: bytes) -> list[str]:
    """Lines as text, each cut to what is shown of it."""
    lines = data.decode(errors="replace").removesuffix("\n").split("\n")
    return [cut(line) for line in lines]


def cut(line: str) -> str:
    over = len(line) - LINE_MAX
    return f"{line[:LINE_MAX]} … {over:,} more characters" if over > 0 else line
