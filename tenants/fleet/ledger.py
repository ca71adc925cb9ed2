"""The density ledger's rows: who holds how much, for administrators only (see accounts.access.admin)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import BigIntegerField, Count, F, Max, Q, QuerySet, Sum
from django.db.models.functions import Cast, Coalesce, Greatest

from tenants.accounts.models import Tenant
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE
from tenants.fleet.density import Totals
from tenants.fleet.models import Machine, Peak
from tenants.releases import limits
from tenants.releases.models import Release

BY = {
    "tenant": {"slug": F("tenant__slug")},
    "app": {"slug": F("tenant__slug"), "name": F("app__name"), "of": F("app_id")},
    "process": {
        "slug": F("tenant__slug"),
        "name": F("app__name"),
        "of": F("app_id"),
        "process": F("process_type"),
    },
}
# Of totals, besides those of the machine.
SUMMED = (
    "reserved", "used", "anonymous", "file", "mapped", "shared_memory", "swap", "saved",
    "unshared_bytes", "shared_bytes", "files_used", "files_part",
)  # fmt: skip
SORTS = ("unshared_bytes", "used", "reserved", "swap", "cpu", "io", "stalled", "name")


def rows(by: str = "tenant", sort: str = "used", words: str = "") -> QuerySet[Any]:
    """Sums over live containers, largest first: a dictionary for each tenant, app or process type."""
    keys = BY[by]
    found = Container.objects.filter(status__in=LIVE)
    if words:
        found = found.filter(Q(tenant__slug__icontains=words) | Q(app__name__icontains=words))
    names = tuple(name for name in ("slug", "name", "process") if name in keys)
    order = names if sort == "name" else (F(sort).desc(nulls_last=True), *names)
    summed: QuerySet[Any] = found.order_by().values(**keys).annotate(**_sums()).order_by(*order)
    return summed


# Less of memory, as Container.saved_bytes has it; in signed numbers, since it may be more.
_LESS = Cast("awake_bytes", BigIntegerField()) - Cast("memory_bytes", BigIntegerField())
SAVED = Greatest(_LESS, 0, output_field=BigIntegerField())


def _sums() -> dict[str, Any]:
    def of_reading(name: str) -> Coalesce:
        return Coalesce(Sum(f"reading__{name}"), 0, output_field=BigIntegerField())

    return {
        "containers": Count("pk"),
        "asleep": Count("pk", filter=Q(status=Container.Status.SLEEPING)),
        "reserved": Sum("memory_limit"),
        "limit": Max("memory_limit"),
        "used": Sum("memory_bytes"),
        "cpu": Sum("cpu_millis"),
        "anonymous": of_reading("anonymous"),
        "file": of_reading("file"),
        "mapped": of_reading("mapped"),
        "shared_memory": of_reading("shared_memory"),
        "swap": of_reading("swap"),
        "io": Sum("reading__io_rate"),
        "saved": Coalesce(Sum(SAVED, filter=Q(status=Container.Status.SLEEPING)), 0),
        "unshared_bytes": Sum("reading__unshared"),
        "shared_bytes": Sum("reading__shared"),
        "files_used": Sum("reading__files_used"),
        "files_part": Sum("reading__files_part"),
        "throttled": Max("reading__throttled"),
        "stalled_cpu": Max("reading__stalled_cpu"),
        "stalled_memory": Max("reading__stalled_memory"),
        "stalled_io": Max("reading__stalled_io"),
        "stalled": Greatest(Coalesce(Max("reading__stalled_cpu"), 0), Coalesce(Max("reading__throttled"), 0)),
    }


def with_advice(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows of process types with `peak`; `advice`, a better limit of each container, or None; and
    `undo`: the limit that the release asks for, where a person put another in its place. What no serving
    release has any more gets no advice."""
    listed = [dict(row) for row in found]
    apps = {row["of"] for row in listed}
    needed: dict[str, dict[str, int]] = defaultdict(dict)
    for peak in Peak.objects.filter(app__in=apps):
        needed[peak.app_id][peak.process_type] = peak.bytes
    serving = Release.objects.filter(app__in=apps, pk=F("app__serving_release_id"))
    serving = serving.select_related("app__tenant")
    sizes = {
        (release.app_id, size.process): size
        for release in serving.only("processes", "app__limits", "app__tenant__memory_bytes")
        for size in limits.sizes(release.app, release, needed[release.app_id])
    }
    for row in listed:
        size = sizes.get((row["of"], row["process"]))
        row["peak"] = needed[row["of"]].get(row["process"], 0)
        row["advice"] = size.advice if size else None
        row["undo"] = size.undo if size else None
    return listed


def totals() -> Totals:
    """The machine's memory is 0 until the agent has looked at it."""
    machine = Machine.objects.first() or Machine()
    sums = Container.objects.filter(status__in=LIVE).aggregate(**_sums())
    return Totals(
        memory=machine.memory_bytes,
        available=machine.memory_available_bytes,
        **{name: sums[name] or 0 for name in SUMMED},
        containers=sums["containers"],
        asleep=sums["asleep"],
        swap_total=machine.swap_bytes or 0,
        swap_free=machine.swap_free_bytes,
        disk=machine.disk_bytes,
        stalled=(machine.stalled_cpu, machine.stalled_memory, machine.stalled_io),
        disk_promised=Tenant.objects.aggregate(all=Sum("disk_bytes"))["all"] or 0,
    )
