from __future__ import annotations

from typing import Annotated, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from paas.admission import reserve
from paas.specs import MIB
from tenants.accounts.access import admin
from tenants.accounts.tokens import person
from tenants.apps.access import any_app
from tenants.fleet import ledger
from tenants.fleet.density import Bound
from tenants.releases import actions
from tenants.releases.schemas import AdviceIn, LimitOut
from tenants.schemas import ERRORS, Limit

router = Router(tags=["machine"])
Size = Annotated[int, Field(ge=1, le=2**20)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Asked(Schema):
    by: Literal["tenant", "app", "process"] = "tenant"
    sort: Literal["used", "reserved", "unshared", "swap", "cpu", "io", "stalled", "name"] = "used"
    size: Size = 64
    asleep: Percent = 80
    machine: Size = 512
    limit: Limit = 50


class RowOut(Schema):
    """Bytes; cpu in 1/1000 core; `throttled` and `stalled_…` in 1/1000 of the time, of its worst container.

    `reserved` are limits, `used` is the working set, `saved` is what those asleep would take more.
    `unshared`, `shared`, `files_used` (page cache that they use, in full) and `files_part` (their part of that)
    are null until they were weighed, `stalled_…` and `io_bytes` where the kernel does not tell (cgroup v1).
    `advice` is a better limit, of a process type; `undo` is the one that its release asks for, where another
    was put in its place."""

    tenant: str
    app: str = ""
    process: str = ""
    containers: int
    asleep: int
    reserved: int
    used: int
    anonymous: int
    file: int
    mapped: int
    shared_memory: int
    swap: int
    saved: int
    unshared: int | None
    shared: int | None
    files_used: int | None
    files_part: int | None
    cpu_millis: int
    io_bytes: int | None
    throttled: int | None
    stalled_cpu: int | None
    stalled_memory: int | None
    stalled_io: int | None
    peak: int | None = None
    advice: int | None = None
    undo: int | None = None


class DensityOut(Schema):
    """`overcommit` is `reserved` by `memory`. `disk_promised`: what all tenants' disks may grow to, on `disk`.
    `fits`: how many more apps of `size` MiB, `asleep` percent of them asleep; `bound`: what there is not enough
    of for more, `limits` being what all of them may add up to. `as_machines`: what as many virtual machines of
    `machine` MiB would take. `stalled_…`: thousandths of the last minute in which some
    process of the machine waited; null where the kernel does not tell. Others are sums of what rows have."""

    memory: int
    available: int
    kept_back: int
    reserved: int
    used: int
    anonymous: int
    file: int
    mapped: int
    shared_memory: int
    swap: int
    saved: int
    unshared: int
    shared: int
    files_used: int
    files_part: int
    stalled_cpu: int | None
    stalled_memory: int | None
    stalled_io: int | None
    containers: int
    asleep: int
    overcommit: float
    disk: int
    disk_promised: int
    fits: int
    bound: Bound
    as_machines: int
    rows: list[RowOut]


@router.get(
    "/machine/density",
    response={200: DensityOut, **ERRORS},
    summary="Who holds how much of the machine, and how much more fits (administrator)",
)
def density(request: HttpRequest, asked: Query[Asked]) -> DensityOut:
    admin(person(request))
    found = ledger.totals()
    rows = ledger.rows(asked.by, "unshared_bytes" if asked.sort == "unshared" else asked.sort)[: asked.limit]
    listed = ledger.with_advice(rows) if asked.by == "process" else list(rows)
    names = ("memory", "available", "disk", "disk_promised", "containers", "asleep", *ledger.SUMMED)
    figures = {name.removesuffix("_bytes"): getattr(found, name) for name in names}
    fits, bound = found.fits(asked.size * MIB, asked.asleep)
    figures.update(zip(("stalled_cpu", "stalled_memory", "stalled_io"), found.stalled, strict=True))
    return DensityOut(
        **figures,
        overcommit=round(found.overcommit, 3),
        kept_back=reserve(found.memory),
        fits=fits,
        bound=bound,
        as_machines=found.as_machines(asked.machine * MIB),
        rows=[_row(row) for row in listed],
    )


def _row(row: dict[str, object]) -> RowOut:
    own = {
        "tenant": row["slug"],
        "app": row.get("name", ""),
        "unshared": row["unshared_bytes"],
        "shared": row["shared_bytes"],
        "cpu_millis": row["cpu"],
        "io_bytes": row["io"],
    }
    return RowOut.model_validate({**{key: row[key] for key in RowOut.model_fields if key in row}, **own})


ANY_APP = "/machine/apps/{tenant}/{app}/limits/{process}"


@router.post(
    ANY_APP,
    response={200: LimitOut, **ERRORS},
    summary="Give a process type of anybody's app the limit that is advised (administrator)",
)
def right_size(request: HttpRequest, tenant: str, app: str, process: str, body: AdviceIn) -> object:
    found, actor = any_app(person(request), tenant, app), person(request)
    return LimitOut.of(actions.right_size(actor=actor, app=found, process=process, advice=body.advice))


@router.delete(
    ANY_APP,
    response={200: LimitOut, **ERRORS},
    summary="Back to the limit that its release asks for (administrator)",
)
def undo_right_size(request: HttpRequest, tenant: str, app: str, process: str) -> object:
    found, actor = any_app(person(request), tenant, app), person(request)
    return LimitOut.of(actions.undo_right_size(actor=actor, app=found, process=process))
