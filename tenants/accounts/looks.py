"""An administrator looks at what they are no member of: allowed, never in silence."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from tenants.accounts.models import Tenant, User
from tenants.audit.actions import record
from tenants.audit.models import Event

NOTED_EVERY = timedelta(hours=1)  # a page that is open fetches its parts again every few seconds


def note_look(admin: User, tenant: Tenant, *, app_id: str = "", **detail: str) -> None:
    """One event `admin.look` for each administrator and thing, at most once an hour."""
    since = timezone.now() - NOTED_EVERY
    same = Event.objects.filter(verb="admin.look", actor=admin, tenant_id=tenant.pk, app_id=app_id)
    if not same.filter(at__gt=since).exists():
        record("admin.look", actor=admin, tenant_id=tenant.pk, app_id=app_id, tenant=tenant.slug, **detail)
