"""The machine, and who uses how much of it: for its administrators only (see accounts.access.admin).

Sums are made by the database, so that a page costs a few queries however many apps there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from paas.errors import NotFound
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE
from tenants.fleet.models import Machine, Traffic

_LIVE = Q(containers__status__in=LIVE)
# What a list can be sorted by, the largest first; names the other way.
SORTS = ("memory", "cpu", "running", "name")


@dataclass(frozen=True, slots=True)
class Use:
    """What the containers of a tenant use now, a build's steps included."""

    slug: str
    memory_bytes: int
    cpu_millis: int


def machine() -> Machine | None:
    """None until the agent has looked once."""
    return Machine.objects.first()


def use_by_tenant() -> list[Use]:
    """Tenants with a container, the largest user of memory first."""
    rows = Container.objects.filter(status__in=LIVE).order_by().values(slug=F("tenant__slug"))
    sums = rows.annotate(memory=Sum("memory_bytes"), cpu=Sum("cpu_millis"))
    return [Use(row["slug"], row["memory"], row["cpu"]) for row in sums.order_by("-memory", "slug")]


def counts() -> dict[str, int]:
    """Of what there is now: `tenant_count`, `app_count`, and `container_count` of those that live."""
    return {
        "tenant_count": Tenant.objects.count(),
        "app_count": App.objects.filter(destroyed_at=None).count(),
        "container_count": Container.objects.filter(status__in=LIVE).count(),
    }


def tenants(words: str = "", sort: str = "memory") -> QuerySet[Any]:
    """Each with `memory` (bytes), `cpu` (1/1000 core), `processes`, `running` (containers), `apps_made`."""
    counted = App.objects.filter(tenant=OuterRef("pk")).order_by().values("tenant").annotate(number=Count("pk"))
    rows = _with_use(Tenant.objects.all())
    rows = rows.annotate(apps_made=Coalesce(Subquery(counted.values("number")), 0))
    if words:
        rows = rows.filter(Q(slug__icontains=words) | Q(name__icontains=words))
    order = () if sort == "name" else (f"-{_column(sort)}",)
    found: QuerySet[Any] = rows.order_by(*order, "slug")
    return found


def tenant(slug: str) -> Any:
    """One of `tenants()`."""
    found = tenants().filter(slug=slug).first()
    if found is None:
        raise NotFound(f"there is no tenant {slug!r}", hint="Look at the list of tenants.")
    return found


def traffic_of(tenant: Tenant) -> Traffic:
    """Of a tenant that has sent nothing yet, zeros."""
    return Traffic.objects.filter(tenant=tenant).first() or Traffic(tenant=tenant)


def apps(words: str = "", sort: str = "memory", tenant: Tenant | None = None) -> QuerySet[Any]:
    """The same of each app, also of those being destroyed; with `tenant` of that one's only."""
    found = App.objects.filter(tenant=tenant) if tenant else App.objects.all()
    rows = _with_use(found.select_related("tenant"))
    if words:
        rows = rows.filter(Q(name__icontains=words) | Q(tenant__slug__icontains=words))
    order = () if sort == "name" else (f"-{_column(sort)}",)
    return rows.order_by(*order, "tenant__slug", "name")


def _with_use(rows: QuerySet[Any]) -> QuerySet[Any]:
    found: QuerySet[Any] = rows.annotate(
        memory=Coalesce(Sum("containers__memory_bytes", filter=_LIVE), 0),
        cpu=Coalesce(Sum("containers__cpu_millis", filter=_LIVE), 0),
        processes=Coalesce(Sum("containers__pids", filter=_LIVE), 0),
        running=Count("containers", filter=_LIVE),
    )
    return found


def _column(sort: str) -> str:
    return sort if sort in SORTS else "memory"
