"""What people do with one-off commands: start one, and end it early."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from paas.errors import Conflict
from paas.live import changed
from paas.queue import wake
from tenants.accounts.models import Tenant, User
from tenants.apps.models import App
from tenants.audit.actions import record
from tenants.releases import next as following
from tenants.releases.room import demand_room, wanted
from tenants.runs import observations
from tenants.runs.command import Command, check_command, checked_time_limit
from tenants.runs.models import GOING, Run


@transaction.atomic
def start_run(*, actor: User, app: App, command: Command, time_limit: int | None = None) -> Run:
    """In a fresh container of the release that serves. `time_limit` is in seconds.

    The audit trail says who ran something and where the command can be read; the command itself may hold
    a secret, so it is in the run's row alone.
    """
    check_command(command)
    seconds = checked_time_limit(time_limit)
    app = following.lock(app)
    release = app.releases.filter(pk=app.serving_release_id).first()
    if release is None:
        raise Conflict(f"{app} has no release that serves yet", hint="Deploy it first.")
    _check_room(app.tenant)
    run = Run(app=app, release=release, time_limit=seconds, created_by=actor)
    run.command = command
    run.save(force_insert=True)
    record(
        "run.start", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, run=run.pk, version=release.version
    )
    wake("run", run.pk)
    changed(app.tenant_id, app.pk, "run")
    return run


def _check_room(tenant: Tenant) -> None:
    """The tenant's row is the lock: two that start at once in two of its apps are counted one by one."""
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    going = Run.objects.filter(app__tenant=tenant, status__in=GOING).count()
    if going >= settings.RUNS_AT_ONCE:
        raise Conflict(
            f"{going} commands of {tenant} are running; more at once are not allowed",
            hint="Wait for one to end, or cancel one.",
            details={"most": settings.RUNS_AT_ONCE},
        )
    hint = "Wait for a command to end, scale an app to fewer"
    demand_room(tenant, 1, wanted(tenant) + going, what="run a command", hint=hint)


@transaction.atomic
def cancel_run(*, actor: User, run: Run) -> None:
    """One that waits never starts; one that runs is asked to end, then killed. Conflict when it has ended."""
    going = Run.objects.filter(pk=run.pk, status__in=GOING)
    if not going.update(cancel_asked_at=timezone.now()):
        raise Conflict("this command has ended already", hint="Its log and its exit code are kept.")
    observations.cancelled_while_queued(run)
    run.refresh_from_db()
    record("run.cancel", actor=actor, tenant_id=run.app.tenant_id, app_id=run.app_id, run=run.pk)
    wake("run", run.pk)
    changed(run.app.tenant_id, run.app_id, "run")
