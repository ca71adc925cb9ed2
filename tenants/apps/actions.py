"""What people do with an app as a whole."""

from __future__ import annotations

import re

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from paas.errors import BadInput, Conflict, NotFound
from paas.live import changed
from paas.queue import wake
from tenants.accounts.models import Tenant, User
from tenants.apps.models import App
from tenants.audit.actions import record
from tenants.checks import bad_field, checked, unless_taken


@transaction.atomic
def create_app(*, actor: User, tenant: Tenant, name: str, stage: str = "production") -> App:
    name, stage = checked(App, "name", name), _stage(stage)
    _check_host(tenant, name)
    in_full, field = f"{tenant.slug}/{name}", {"field": "name"}
    if App.objects.filter(tenant=tenant, name=name, destroyed_at__isnull=False).exists():
        raise Conflict(
            f"{in_full} is still being destroyed", hint="Wait a few seconds and try again.", details=field
        )
    taken = Conflict(f"there is an app {in_full} already", hint="Choose another name.", details=field)
    # The tenant's row is locked: whoever destroys the tenant meanwhile sees this app, or this sees that.
    if not Tenant.objects.select_for_update(no_key=True).filter(pk=tenant.pk, destroyed_at=None).exists():
        raise NotFound(f"{tenant} is being destroyed")
    with unless_taken(taken):
        app = App.objects.create(tenant=tenant, name=name, stage=stage)
    record("app.create", actor=actor, tenant_id=tenant.pk, app_id=app.pk, name=name, stage=stage)
    changed(tenant.pk, app.pk, "app")
    return app


def _stage(stage: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,19}", stage):
        hint = "Use up to 20 lower-case letters, digits, _ and -, as in [stages.<stage>] of berth.toml."
        raise bad_field("stage", f"stage {stage!r} is not valid", hint=hint)
    return stage


def _check_host(tenant: Tenant, name: str) -> None:
    """The name becomes a DNS label: it must not be the platform's own, nor read as another script."""
    if name.startswith("xn--"):
        raise bad_field("name", f"name {name!r} would be shown as another name", hint="Do not begin with xn--.")
    if App(tenant=tenant, name=name).host == settings.DASHBOARD_HOST:
        raise bad_field(
            "name", f"{settings.DASHBOARD_HOST} is the dashboard's address", hint="Choose another name."
        )


@transaction.atomic
def destroy_app(*, actor: User, app: App, confirm: str) -> None:
    """Asks for it; the worker takes everything off the host and deletes the row last."""
    if confirm != app.name:
        raise BadInput(
            f"{confirm!r} is not the app's name, so nothing was destroyed",
            hint=f"Type {app.name} to confirm.",
            details={"field": "confirm"},
        )
    waiting = App.objects.filter(pk=app.pk, destroyed_at=None)
    if not waiting.update(destroyed_at=timezone.now(), generation=F("generation") + 1):
        raise NotFound(f"{app} is being destroyed already")
    app.refresh_from_db()
    record("app.destroy", actor=actor, tenant_id=app.tenant_id, app_id=app.pk, name=app.name)
    wake("reconcile", app.pk)
    changed(app.tenant_id, app.pk, "app")
