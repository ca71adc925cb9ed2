"""Releases and builds for pages and the API: newest first, with who made them."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from paas.specs import ProcessSpec
from tenants.apps.models import App
from tenants.releases.models import Build, Release
from tenants.releases.serial import processes


def releases(app: App, limit: int = 20) -> QuerySet[Release]:
    return app.releases.select_related("created_by", "build__source").defer("build__recipe")[:limit]


def builds(app: App, limit: int = 20) -> QuerySet[Build]:
    return app.builds.select_related("created_by", "source").defer("recipe")[:limit]


def latest_build(app: App) -> Build | None:
    return builds(app, 1).first()


def latest_release(app: App) -> Release | None:
    return releases(app, 1).first()


def serving_release(app: App) -> Release | None:
    return app.releases.filter(pk=app.serving_release_id).first()


def current_builds(app: App) -> QuerySet[Build]:
    """Builds that wait or run."""
    return app.builds.filter(status__in=(Build.Status.QUEUED, Build.Status.RUNNING))


def config_keys(app: App) -> list[str]:
    return list(app.config_vars.values_list("key", flat=True))


@dataclass(frozen=True, slots=True)
class Sleepers:
    """Of the containers that serve: how many sleep, and how many are awake and may."""

    asleep: int
    may: int


def sleepers(app: App, serving: Release | None) -> Sleepers:
    if serving is None:
        return Sleepers(0, 0)
    wakeable = may_sleep(serving)
    rows = list(
        app.containers.filter(
            kind="process", status__in=("running", "sleeping"), release_id=app.serving_release_id
        ).values_list("process_type", "status")
    )
    asleep = sum(status == "sleeping" for _, status in rows)
    return Sleepers(asleep, sum(status == "running" and name in wakeable for name, status in rows))


def may_sleep(release: Release | None) -> set[str]:
    """Process types that something can wake: web, and those with a port in berth.toml."""
    found = processes(release) if release else ()
    return {process.name for process in found if has_a_waker(process)}


def has_a_waker(process: ProcessSpec) -> bool:
    return process.name == "web" or bool(process.port)
