"""The only way to an app's row."""

from __future__ import annotations

from django.db.models import F, QuerySet

from paas.errors import NotFound
from tenants.accounts.access import Person, admin, is_active, is_admin, require
from tenants.accounts.looks import note_look
from tenants.accounts.models import Role, User
from tenants.apps.models import App


def apps_of(user: Person) -> QuerySet[App]:
    """All apps of all of their tenants, without those being destroyed."""
    if not is_active(user):
        return App.objects.none()
    return App.objects.filter(tenant__members__user=user, destroyed_at=None).select_related("tenant")


def app_for(user: Person, tenant_slug: str, app_name: str, needs: Role = Role.VIEWER) -> App:
    """NotFound if there is no such app or it is not the user's; Refused if their role is too low."""
    mine = apps_of(user).annotate(role=F("tenant__members__role"))  # of the membership by which it is theirs
    try:
        app = mine.get(tenant__slug=tenant_slug, name=app_name)
    except App.DoesNotExist:
        raise _none(tenant_slug, app_name) from None
    require(app.tenant, Role(app.role), needs)
    return app


def any_app(user: Person, tenant_slug: str, app_name: str) -> App:
    """For what an administrator decides about anybody's app. Refused to everybody else."""
    admin(user)
    return _any(tenant_slug, app_name)


def app_seen_by(user: Person, tenant_slug: str, app_name: str) -> App:
    """For a page that only shows: a member's app, or, to an administrator, anybody's. That is noted."""
    try:
        return app_for(user, tenant_slug, app_name)
    except NotFound:
        if not is_admin(user):
            raise
    app = _any(tenant_slug, app_name)
    assert isinstance(user, User)
    note_look(user, app.tenant, app_id=app.pk, app=app.name)
    return app


def _any(tenant_slug: str, app_name: str) -> App:
    rows = App.objects.filter(destroyed_at=None).select_related("tenant")
    app = rows.filter(tenant__slug=tenant_slug, name=app_name).first()
    if app is None:
        raise _none(tenant_slug, app_name)
    return app


def _none(tenant_slug: str, app_name: str) -> NotFound:
    return NotFound(f"there is no app {tenant_slug}/{app_name} here", hint="Look at the list of your apps.")
