from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field, StrictInt

from paas.log_places import PLACE
from tenants.accounts.models import Role
from tenants.accounts.tokens import person
from tenants.apps.access import app_for
from tenants.runs import actions, selectors
from tenants.runs.access import run_for
from tenants.runs.logs import read_run_log
from tenants.runs.models import Run
from tenants.schemas import ERRORS, Input, Limit

router = Router(tags=["runs"])
After = Annotated[str, Field(pattern=rf"\A({PLACE.pattern})?\z")]
APP = "/apps/{tenant}/{app}"


class NewRun(Input):
    """`command` is a list of arguments, executed as it stands, or a text for the container's own shell.

    `time_limit` is in seconds; the machine's own limit if it is not given.
    """

    command: list[str] | str
    time_limit: StrictInt | None = None


class RunOut(Schema):
    """`exit_code` is 128 + n when signal n ended it. `output_dropped`: bytes of the log that came too fast."""

    id: str
    status: str
    command: str
    version: int
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    time_limit: int
    exit_code: int | None
    reason: str
    output_dropped: int
    error: dict[str, Any] | None

    @staticmethod
    def of(run: Run) -> RunOut:
        same = {name: getattr(run, name) for name in RunOut.model_fields if hasattr(run, name)}
        own = {"command": run.shown, "version": run.release.version, "created_by": str(run.created_by or "")}
        return RunOut(**{**same, **own})


class RunLineOut(Schema):
    """`cut` counts the characters of a long line that are not in `text`."""

    at: str
    stream: str
    text: str
    cut: int


class RunLogOut(Schema):
    """`next` goes into `after` of the next call. `skipped`: lines before these are not kept any more."""

    lines: list[RunLineOut]
    next: str
    skipped: bool
    done: bool


@router.post(
    f"{APP}/runs",
    response={202: RunOut, **ERRORS},
    summary="Run a command once, in a container of its own (developer)",
)
def start_run(request: HttpRequest, tenant: str, app: str, body: NewRun) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    run = actions.start_run(actor=person(request), app=found, command=body.command, time_limit=body.time_limit)
    return Status(202, RunOut.of(run))


@router.get(f"{APP}/runs", response={200: list[RunOut], **ERRORS}, summary="Commands, newest first")
def list_runs(request: HttpRequest, tenant: str, app: str, limit: Limit = 20) -> object:
    return [RunOut.of(run) for run in selectors.runs(app_for(person(request), tenant, app))[:limit]]


@router.get(f"{APP}/runs/{{run}}", response={200: RunOut, **ERRORS}, summary="One command")
def get_run(request: HttpRequest, tenant: str, app: str, run: str) -> object:
    return RunOut.of(run_for(app_for(person(request), tenant, app), run))


@router.get(
    f"{APP}/runs/{{run}}/log",
    response={200: RunLogOut, **ERRORS},
    summary="What a command printed, from a place on",
    description="Ask again with `after` from `next` until `done`.",
)
def run_log(request: HttpRequest, tenant: str, app: str, run: str, after: After = "") -> object:
    piece = read_run_log(run_for(app_for(person(request), tenant, app), run), after)
    lines = [RunLineOut(at=ln.at, stream=ln.stream, text=ln.text, cut=ln.cut) for ln in piece.lines]
    return RunLogOut(lines=lines, next=piece.next, skipped=piece.skipped, done=piece.done)


@router.post(
    f"{APP}/runs/{{run}}/cancel", response={202: RunOut, **ERRORS}, summary="End a command early (developer)"
)
def cancel_run(request: HttpRequest, tenant: str, app: str, run: str) -> object:
    found = run_for(app_for(person(request), tenant, app, Role.DEVELOPER), run)
    actions.cancel_run(actor=person(request), run=found)
    return Status(202, RunOut.of(found))
