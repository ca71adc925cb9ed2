"""The next release of an app: one place that numbers releases, raises the generation and wakes the worker."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Max

from paas.errors import NotFound
from paas.live import changed
from paas.queue import wake
from tenants.accounts.models import User
from tenants.apps.models import App
from tenants.audit.actions import record
from tenants.releases import config_vars
from tenants.releases.models import Release

_COPIED = (
    "build",
    "image",
    "committed_from",
    "commit",
    "processes",
    "health",
    "release_command",
    "volumes",
    "defaults",
    "config",
    "brings_config",
)
_GOING = (Release.Status.PENDING, Release.Status.STARTING, Release.Status.LIVE)


def lock(app: App) -> App:
    """The app's row, locked until the transaction ends (on SQLite the transaction itself is the lock).

    Rows that name the app can be made meanwhile: `no_key` leaves them the lock that a foreign key asks for.
    """
    locked = App.objects.select_for_update(of=("self",), no_key=True).select_related("tenant")
    found = locked.filter(pk=app.pk, destroyed_at=None).first()
    if found is None:
        raise NotFound(f"{app} was destroyed meanwhile")
    return found


def current(app: App) -> Release | None:
    """What a restart, a scale or a config change goes on from: the newest release that serves or is about
    to; when none is, the newest with an image of its own, so that a missing config var can be set after a first
    failure."""
    going = app.releases.filter(status__in=_GOING).first()
    return going or app.releases.filter(committed_from="").first()


def config_of(app: App, defaults: dict[str, str]) -> dict[str, str]:
    """berth.toml's env defaults, overlaid with the config vars."""
    return {**defaults, **config_vars.of_app(app)}


def counted(processes: list[dict[str, Any]], formation: dict[str, int]) -> list[dict[str, Any]]:
    """Processes with the counts that a person chose; the others keep their own."""
    return [{**process, "count": formation.get(process["name"], process["count"])} for process in processes]


def release(
    app: App,
    *,
    actor: User | None,
    cause: Release.Cause,
    note: str,
    based_on: Release | None = None,
    **parts: Any,
) -> Release:
    """Make it, in the caller's transaction and under `lock(app)`. `parts` win over those of `based_on`."""
    copied = {name: getattr(based_on, name) for name in _COPIED} if based_on else {}
    version = (app.releases.aggregate(last=Max("version"))["last"] or 0) + 1
    made = Release.objects.create(
        app=app, version=version, cause=cause, note=note[:200], created_by=actor, **{**copied, **parts}
    )
    App.objects.filter(pk=app.pk).update(generation=F("generation") + 1)
    record(
        f"release.{cause.value}",
        actor=actor,
        tenant_id=app.tenant_id,
        app_id=app.pk,
        version=version,
        note=made.note,
    )
    wake("reconcile", app.pk)
    changed(app.tenant_id, app.pk, "release")
    return made
