"""An app's end: containers, routes, files, rows; then, with its last app, nothing of it is on the host."""

from __future__ import annotations

import structlog
from django.conf import settings

from paas.logs import older
from paas.worker import fences, launch, names, routes, volumes
from tenants.apps.models import App
from tenants.containers.models import Container

log = structlog.get_logger()


def destroy(app: App) -> None:
    """Idempotent; the rows go last, so that an interrupted destroy is found and finished."""
    for row in app.containers.exclude(status=Container.Status.STOPPED).select_related("tenant"):
        launch.take_down(row, reason="the app was destroyed", grace=2.0)
    for row in app.containers.filter(address__isnull=False):  # ended, but never cleared away
        launch.clear(row)
    files = [settings.PATHS.container_log(pk) for pk in app.containers.values_list("pk", flat=True)]
    files += [older(path) for path in files]
    files += [settings.PATHS.build_log(pk) for pk in app.builds.values_list("pk", flat=True)]
    files += [settings.PATHS.sources / pk for pk in app.sources.values_list("pk", flat=True)]
    App.objects.filter(pk=app.pk).update(serving_release_id="")
    routes.sync(app.tenant)
    volumes.remove_all(app)
    for path in files:
        path.unlink(missing_ok=True)
    app.releases.all().delete()
    app.builds.all().delete()
    tenant = app.tenant
    app.delete()
    fences.sync(tenant)
    names.tell(tenant)
    log.info("app.destroyed", app=str(app))
