"""Containers for pages and the API."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import F, Q, QuerySet, Sum

from paas.errors import NotFound
from tenants.apps.models import App
from tenants.containers.models import Container

RELEASE = "release"  # the process type of a release command
LIVE = (
    Container.Status.CREATING,
    Container.Status.CREATED,
    Container.Status.RUNNING,
    Container.Status.SLEEPING,
)


def live_containers(app: App) -> QuerySet[Container]:
    """Those of the app's processes that the host has now, by process type and number."""
    return _processes(app).filter(status__in=LIVE)


def used_by(apps: Iterable[str]) -> dict[str, tuple[int, int]]:
    """By app id: bytes of memory and thousandths of a core of all its processes, what sleepers kept as well."""
    rows = Container.objects.filter(app__in=apps, kind=Container.Kind.PROCESS, status__in=LIVE).order_by()
    sums = rows.values("app").annotate(memory=Sum("memory_bytes"), cpu=Sum("cpu_millis"))
    return {row["app"]: (row["memory"], row["cpu"]) for row in sums}


def past_containers(app: App, limit: int = 20) -> QuerySet[Container]:
    """Those that ended, latest first, with their exit."""
    return _processes(app).filter(status=Container.Status.STOPPED).order_by("-stopped_at")[:limit]


def container_for(app: App, container_id: str) -> Container:
    found = app.containers.select_related("release").filter(pk=container_id).first()
    if found is None:
        raise NotFound(f"{app} has no container {container_id!r}", hint="Look at the list of its containers.")
    return found


def containers_to_read(app: App) -> list[Container]:
    """Whose logs tell of the app: the live ones, or else the last that ended, with their release commands."""
    rows = list(live_containers(app)) or list(past_containers(app, 1))
    begun_with = Q(release__in={row.release_id for row in rows}) | Q(status__in=LIVE)
    return [*rows, *logged(app).filter(begun_with, kind=Container.Kind.COMMAND)]


def logged(app: App) -> QuerySet[Container]:
    """Those whose output is the app's log. That of one-off commands is read with them."""
    is_release_command = Q(kind=Container.Kind.COMMAND, process_type=RELEASE, run=None)
    return app.containers.filter(Q(kind=Container.Kind.PROCESS) | is_release_command).select_related("release")


def serving_containers() -> QuerySet[Container]:
    """Those that traffic goes to: ready, and of the release that serves."""
    return Container.objects.filter(
        kind=Container.Kind.PROCESS,
        status__in=(Container.Status.RUNNING, Container.Status.SLEEPING),
        ready=True,
        address__isnull=False,
        app__serving_release_id=F("release_id"),
    )


def _processes(app: App) -> QuerySet[Container]:
    return app.containers.filter(kind=Container.Kind.PROCESS).select_related("release")
