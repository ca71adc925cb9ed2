"""Apps as a list shows them: five queries, however many apps there are.

Builds, releases and containers are reached through their relations to App: this folder knows none of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet, Sum

from tenants.accounts.access import Person
from tenants.apps.access import apps_of
from tenants.apps.models import App
from tenants.apps.state import Facts, State, state_of

_LIVE = Q(containers__kind="process") & ~Q(containers__status="stopped")
_ASLEEP = Q(containers__kind="process", containers__status="sleeping")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LatestBuild:
    id: str
    status: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AppCard:
    id: str
    tenant: str
    name: str
    stage: str
    state: State
    address: str | None  # None: its web process is private
    internal_address: str
    version: int | None  # of the release that serves
    latest_build: LatestBuild | None
    containers_ready: int
    containers_wanted: int
    memory_bytes: int
    memory_limit: int
    cpu_millis: int
    created_at: datetime


def app_cards(user: Person) -> list[AppCard]:
    """All apps of all of the user's tenants, by tenant and name."""
    return cards(apps_of(user))


def app_card(app: App) -> AppCard:
    return cards(App.objects.filter(pk=app.pk).select_related("tenant"))[0]


def app_state(app: App) -> State:
    return app_card(app).state


def cards(apps: QuerySet[App]) -> list[AppCard]:
    containers, builds = _containers(apps), _latest(apps, "builds", "created_at")
    releases, serving = _latest(apps, "releases", "version"), _serving(apps)
    return [
        _card(app, containers[app.pk], builds.get(app.pk), releases.get(app.pk), serving.get(app.pk))
        for app in apps
    ]


def _containers(apps: QuerySet[App]) -> dict[str, Row]:
    mine = Q(containers__release_id=F("serving_release_id"))
    rows = (
        apps.order_by()
        .values("pk")
        .annotate(
            ready=Count("containers", filter=_LIVE & mine & Q(containers__ready=True)),
            asleep=Count("containers", filter=_ASLEEP & mine & Q(containers__ready=True)),
            memory=Sum("containers__memory_bytes", filter=_LIVE),
            limit=Sum("containers__memory_limit", filter=_LIVE),
            cpu=Sum("containers__cpu_millis", filter=_LIVE),
        )
    )
    return {row["pk"]: {**row} for row in rows}


def _latest(apps: QuerySet[App], relation: str, order: str) -> dict[str, Row]:
    """The latest build or release of each app: its id, status and when."""
    field = f"{relation}__{order}"
    rows = apps.order_by().annotate(last=Max(field)).filter(**{field: F("last")})
    return {
        row["pk"]: {"id": row[f"{relation}__id"], "status": row[f"{relation}__status"], "at": row["last"]}
        for row in rows.values("pk", "last", f"{relation}__id", f"{relation}__status")
    }


def _serving(apps: QuerySet[App]) -> dict[str, Row]:
    rows = apps.order_by().filter(releases__id=F("serving_release_id"))
    return {row["pk"]: {**row} for row in rows.values("pk", "releases__version", "releases__processes")}


def _card(app: App, containers: Row, build: Row | None, release: Row | None, serving: Row | None) -> AppCard:
    wanted = sum(process["count"] for process in serving["releases__processes"]) if serving else 0
    facts = Facts(
        building=build is not None and build["status"] in ("queued", "running"),
        deploying=release is not None and release["status"] in ("pending", "starting"),
        failed=any(row is not None and row["status"] == "failed" for row in (build, release)),
        serving=serving is not None,
        wanted=wanted,
        ready=containers["ready"],
        asleep=containers["asleep"],
    )
    return AppCard(
        id=app.pk,
        tenant=app.tenant.slug,
        name=app.name,
        stage=app.stage,
        state=state_of(facts),
        address=None if app.is_private else app.address,
        internal_address=f"http://{app.internal_name}",
        version=serving["releases__version"] if serving else None,
        latest_build=LatestBuild(build["id"], build["status"], build["at"]) if build else None,
        containers_ready=containers["ready"],
        containers_wanted=wanted,
        memory_bytes=containers["memory"] or 0,
        memory_limit=containers["limit"] or 0,
        cpu_millis=containers["cpu"] or 0,
        created_at=app.created_at,
    )
