from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from paas.swap_there import missing
from tenants.accounts.models import Role
from tenants.accounts.tokens import person
from tenants.apps.access import app_for
from tenants.apps.models import App
from tenants.containers import actions
from tenants.containers.logs import read_app_log
from tenants.containers.models import Container
from tenants.containers.ordered import slept
from tenants.containers.selectors import container_for, live_containers, past_containers
from tenants.containers.sleep_time import sleep_time, written_time
from tenants.releases.schemas import ReleaseMade
from tenants.schemas import ERRORS, Limit

router = Router(tags=["containers"])
Lines = Annotated[int, Field(ge=1, le=1000)]
Since = Annotated[str, Field(max_length=40)]
APP = "/apps/{tenant}/{app}"


class ContainerOut(Schema):
    """One life of one container. Memory in bytes, cpu in 1/1000 core over the last sample.

    `limits` are those that the kernel holds it to, null for none; empty until they were read.
    `output_dropped`: bytes of its output that came faster than a log may grow. `oom_killed`: it ended for
    want of memory; `oom_kills`: so many of its processes were killed for that while it went on, the last at
    `oom_killed_at`. While it sleeps, since `slept_at`, it takes `memory_bytes` instead of the `awake_bytes`
    that it would take if it had never slept; it was woken `wakes` times, the last time within `wake_usec`
    microseconds. `memory_asked` is the limit that its release asks for, where another was put in its place;
    null for a container of none. `sleep_after` are the idle seconds after which it falls asleep by itself,
    0 for never, as `sleep_source` says: "app" (a person), "release" (berth.toml), "tenant" or "machine";
    null and "" for what nothing could wake."""

    id: str
    process: str
    index: int
    version: int | None
    status: str
    ready: bool
    created_at: datetime
    started_at: datetime | None
    stopped_at: datetime | None
    exit_code: int | None
    exit_signal: int | None
    oom_killed: bool
    oom_kills: int
    oom_killed_at: datetime | None
    reason: str
    memory_bytes: int
    memory_limit: int
    memory_asked: int | None
    cpu_millis: int
    limits: dict[str, int | None]
    output_dropped: int
    slept_at: datetime | None
    awake_bytes: int
    woken_at: datetime | None
    wakes: int
    wake_usec: int
    sleep_after: int | None
    sleep_source: str

    @staticmethod
    def of(row: Container) -> ContainerOut:
        same = {name: getattr(row, name) for name in ContainerOut.model_fields if hasattr(row, name)}
        version = row.release.version if row.release else None
        own = {"process": row.process_type, "version": version, "output_dropped": row.log_dropped_bytes}
        sleep = sleep_time(row)
        asleep = {"sleep_after": sleep and sleep.seconds, "sleep_source": sleep.source if sleep else ""}
        return ContainerOut(**{**same, **own, **asleep})


class SleepIn(Schema):
    """`after` are idle seconds, 0 for never, or a text as in berth.toml: "15m", "2h", "never". null or
    "default" is what berth.toml, the tenant's quota or the machine says."""

    after: Annotated[int, Field(ge=0)] | str | None


class SleepOut(Schema):
    """`missing`: what keeps apps from sleeping on this machine, empty for nothing."""

    after: int | None
    missing: str = Field(default_factory=missing)


class SleptOut(Schema):
    """Names ("web.1") of what serves and may sleep. `order` is what a worker is about to do, empty when it has
    done it: what is still `awake` then was in use. `after` and `missing` as of SleepOut."""

    after: int | None
    order: str
    asleep: list[str]
    awake: list[str]
    missing: str = Field(default_factory=missing)


class OrderOut(Schema):
    """What a worker is about to do. `missing` as of SleepOut."""

    order: str
    missing: str = Field(default_factory=missing)


class LineOut(Schema):
    at: str
    container: str
    stream: str
    text: str


class LogOut(Schema):
    """`next` goes into `since` of the next call; empty while there is no line."""

    lines: list[LineOut]
    next: str


@router.get(
    f"{APP}/containers",
    response={200: list[ContainerOut], **ERRORS},
    summary="Containers that run; those that ended with ?past=1",
)
def list_containers(
    request: HttpRequest, tenant: str, app: str, past: bool = False, limit: Limit = 20
) -> object:
    found = app_for(person(request), tenant, app)
    rows = past_containers(found, limit) if past else live_containers(found)
    return [ContainerOut.of(row) for row in rows]


@router.get(f"{APP}/logs", response={200: LogOut, **ERRORS}, summary="What the containers print")
def logs(
    request: HttpRequest,
    tenant: str,
    app: str,
    lines: Lines = 100,
    since: Since = "",
) -> object:
    found = read_app_log(app_for(person(request), tenant, app), lines, since)
    shown = [
        LineOut(at=line.at, container=line.container, stream=line.stream, text=line.text) for line in found
    ]
    return LogOut(lines=shown, next=found[-1].at if found else since)


@router.post(
    f"{APP}/containers/{{container}}/commit",
    response={201: ReleaseMade, **ERRORS},
    summary="Make a release of what a running container changed in its files (developer)",
)
def commit(request: HttpRequest, tenant: str, app: str, container: str) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    row = container_for(found, container)
    made = actions.commit(actor=person(request), app=found, container=row)
    return Status(201, ReleaseMade.of(made))


@router.post(f"{APP}/sleep", response={202: OrderOut, **ERRORS}, summary="Put it to sleep now (developer)")
def sleep(request: HttpRequest, tenant: str, app: str) -> object:
    return _order(request, tenant, app, App.Order.SLEEP)


@router.post(f"{APP}/wake", response={202: OrderOut, **ERRORS}, summary="Wake it (developer)")
def wake(request: HttpRequest, tenant: str, app: str) -> object:
    return _order(request, tenant, app, App.Order.WAKE)


def _order(request: HttpRequest, tenant: str, app: str, what: App.Order) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    actions.order(actor=person(request), app=found, what=what)
    return Status(202, OrderOut(order=what))


@router.get(
    f"{APP}/sleep", response={200: SleptOut, **ERRORS}, summary="What sleeps, and what came of an order"
)
def get_sleep(request: HttpRequest, tenant: str, app: str) -> object:
    found = app_for(person(request), tenant, app)
    now = slept(found)
    return SleptOut(
        after=found.sleep_after, order=found.sleep_order, asleep=list(now.asleep), awake=list(now.awake)
    )


@router.put(
    f"{APP}/sleep", response={200: SleepOut, **ERRORS}, summary="When it falls asleep by itself (developer)"
)
def set_sleep(request: HttpRequest, tenant: str, app: str, body: SleepIn) -> object:
    found = app_for(person(request), tenant, app, Role.DEVELOPER)
    seconds = body.after
    if isinstance(seconds, str):
        seconds = written_time("after", seconds, default=actions.DEFAULT_SLEEP)
    actions.sleep_after(actor=person(request), app=found, seconds=seconds)
    return SleepOut(after=seconds)
