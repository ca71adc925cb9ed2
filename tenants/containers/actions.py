"""What people do with a container: keep what it changed."""

from __future__ import annotations

from django.db import transaction

from paas.errors import Conflict
from tenants.accounts.models import User
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.releases import next as following
from tenants.releases.models import Release


@transaction.atomic
def commit(*, actor: User, app: App, container: Container) -> Release:
    """A release whose image has one more layer: what the running container changed in its files until the
    worker takes them. Conflict when it does not run, or belongs to no release.
    """
    app = following.lock(app)
    if (
        container.status not in (Container.Status.RUNNING, Container.Status.SLEEPING)
        or container.release is None
    ):
        raise Conflict(f"{container} does not run", hint="What a container changed goes with it.")
    whose = f"{container} of {container.release}"
    return following.release(
        app,
        actor=actor,
        cause=Release.Cause.COMMIT,
        note=f"Changes of {whose}",
        based_on=container.release,
        processes=following.counted(container.release.processes, app.formation),
        committed_from=container.pk,
        commit=whose,
    )
