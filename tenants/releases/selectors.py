"""Releases and builds for pages and the API: newest first, with who made them."""

from __future__ import annotations

from django.db.models import QuerySet

from tenants.apps.models import App
from tenants.releases.models import Build, Release


def releases(app: App, limit: int = 20) -> QuerySet[Release]:
    return app.releases.select_related("created_by", "build__source")[:limit]


def builds(app: App, limit: int = 20) -> QuerySet[Build]:
    return app.builds.select_related("created_by", "source")[:limit]


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
