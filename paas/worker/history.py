"""What ended apps, builds and containers leave on the host's own disk: so much of it is kept, and no more.

A container's row stays; it is small. A file that is gone reads as an empty one. paas.worker.runs sees to runs.
"""

from __future__ import annotations

from django.conf import settings

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
    ended = app.builds.filter(status__in=ENDED).order_by("-created_at")
    going = app.builds.exclude(status__in=ENDED).values_list("source", flat=True)
    for source_id in ended.values_list("source", flat=True)[SOURCES : SOURCES + _LOOK]:
        if source_id not in going:
            (settings.PATHS.sources / source_id).unlink(missing_ok=True)
    for old in observations.builds_beyond_history(app, BUILDS):
        settings.PATHS.build_log(old.pk).unlink(missing_ok=True)
        (settings.PATHS.locks / f"build-{old.pk}").unlink(missing_ok=True)
        if observations.forget_build(old):
            (settings.PATHS.sources / old.source_id).unlink(missing_ok=True)
