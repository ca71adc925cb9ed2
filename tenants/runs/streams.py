"""What a run writes, as it writes it, by server-sent events."""

from __future__ import annotations

import asyncio

from asgiref.sync import sync_to_async
from django.http.response import HttpResponseBase

from paas.logs import LogLine
from tenants.apps.access import app_for
from tenants.pages import SignedInRequest
from tenants.releases.streams import cut
from tenants.runs.access import run_for
from tenants.runs.logs import read_run_log
from tenants.runs.models import Run
from tenants.sse import Events, event, is_program, respond, streamed

PAUSE = 0.3


@streamed
async def run_log(request: SignedInRequest, tenant: str, name: str, run_id: str) -> HttpResponseBase:
    """Events: `lines` (a list of ["", time, stream, text]; its id is the place to go on from), `skipped`,
    `end`. `after` or Last-Event-ID is such a place. A page's lines are cut, those for a program are not.
    """

    def may() -> Run:
        return run_for(app_for(request.user, tenant, name), run_id)

    found = await sync_to_async(may)()
    after = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    return respond(request, follow(found, after, whole=is_program(request)), may=may)


async def follow(run: Run, after: str, *, whole: bool = False) -> Events:
    while True:
        row = await Run.objects.aget(pk=run.pk)
        piece = await asyncio.to_thread(read_run_log, row, after)
        if piece.skipped:
            yield event("skipped", {})
        after = piece.next
        if piece.lines:
            yield event("lines", [_shown(line, whole) for line in piece.lines], id=after)
        if piece.done:
            yield event("end", {"status": _ending(row)})
            return
        if not piece.lines:
            await asyncio.sleep(PAUSE)


def _shown(line: LogLine, whole: bool) -> list[str]:
    return ["", line.at, line.stream, line.text if whole else cut(line.text)]


def _ending(run: Run) -> str:
    return f"exit {run.exit_code}" if run.status == Run.Status.EXITED else run.get_status_display().lower()
