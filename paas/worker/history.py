"""What ended apps, builds and containers leave on the host's own disk: so much of it is kept, and no more.

A container's row stays; it is small. A file that is gone reads as an empty one. paas.worker.runs sees to runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from paas.logs import older
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.releases import observations
from tenants.releases.logs import ENDED

LOGS = 30  # of an app's containers that ended, the newest
SOURCES = 3  # of an app's builds that ended
BUILDS = 50  # of an app, with their logs
_LOOK = 200  # so many beyond that are looked at: what is older has gone before


def forget_logs(app: App) -> None:
    ended = app.containers.filter(status=Container.Status.STOPPED, run=None).order_by("-created_at")
    for pk in ended.values_list("pk", flat=True)[LOGS : LOGS + _LOOK]:
        path = settings.PATHS.container_log(pk)
        for file in (path, older(path)):
            file.unlink(missing_ok=True)


def forget_builds(app: App) -> None:
    """All but the last that ended, and those of releases that may still be asked for."""
    if _old_sources(app):
        with _locked(app):
            for path in _old_sources(app):
                path.unlink(missing_ok=True)
    for old in observations.builds_beyond_history(app, BUILDS):
        settings.PATHS.build_log(old.pk).unlink(missing_ok=True)
        (settings.PATHS.locks / f"build-{old.pk}").unlink(missing_ok=True)
        with _locked(app):
            if observations.forget_build(old):
                (settings.PATHS.sources / old.source_id).unlink(missing_ok=True)


def _old_sources(app: App) -> list[Path]:
    """That are here and that no build goes on with. Several builds may be of one."""
    last = app.builds.filter(status__in=ENDED).values("source").annotate(at=Max("created_at")).order_by("-at")
    going = set(app.builds.exclude(status__in=ENDED).values_list("source", flat=True))
    past = last.values_list("source", flat=True)[SOURCES : SOURCES + _LOOK]
    paths = (settings.PATHS.sources / pk for pk in past if pk not in going)
    return [path for path in paths if path.exists()]


@contextmanager
def _locked(app: App) -> Iterator[None]:
    """A deploy of what was sent before finds its source under the same lock, and counts on it from then on."""
    with transaction.atomic():
        App.objects.select_for_update(no_key=True).filter(pk=app.pk).first()
        yield
