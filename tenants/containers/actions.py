"""What people do with a container: keep what it changed."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from paas.errors import BadInput, Conflict
from paas.idle_time import LEAST_SECONDS, MOST_SECONDS
from paas.live import changed
from paas.queue import wake
from tenants.accounts.models import User
from tenants.apps.models import App
from tenants.audit.actions import record
from tenants.containers.models import Container
from tenants.releases import next as following
from tenants.releases.models import Release

DEFAULT_SLEEP = "what berth.toml, the tenant's quota or the machine says"


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


@transaction.atomic
def order(*, actor: User, app: App, what: App.Order) -> None:
    """Put to sleep or wake, now, all of the app's containers that serve and may sleep. The worker leaves one
    awake that is in use. Conflict when nothing serves yet."""
    if not app.serving_release_id:
        raise Conflict(f"{app} does not run", hint="Deploy it first.")
    at = timezone.now() if what == App.Order.SLEEP else None
    App.objects.filter(pk=app.pk).update(sleep_order=what, sleep_ordered_at=at)
    record(f"app.{what}", actor=actor, tenant_id=app.tenant_id, app_id=app.pk)
    wake("sleep", app.pk)


@transaction.atomic
def sleep_after(*, actor: User, app: App, seconds: int | None) -> None:
    """How long it must be idle to fall asleep by itself: 0 is never, None what its release, the tenant
    or the machine says."""
    if seconds is not None and seconds != 0 and not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise BadInput(
            f"{seconds} seconds is not from {LEAST_SECONDS} to {MOST_SECONDS}",
            hint="Choose 0 for never.",
            details={"field": "after"},
        )
    App.objects.filter(pk=app.pk).update(sleep_after=seconds)
    record("app.sleep_after", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, seconds=seconds)
    changed(app.tenant_id, app.pk, "app")
