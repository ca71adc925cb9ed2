"""Writing the audit trail. Called inside the transaction of the thing that it tells of."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser

from tenants.audit.models import Event


def record(
    verb: str, *, actor: AbstractBaseUser | None, tenant_id: str = "", app_id: str = "", **detail: Any
) -> Event:
    """`detail` holds names and numbers, never a secret. Without an actor the machine itself did it."""
    actor_id = actor.pk if actor else None
    return Event.objects.create(verb=verb, actor_id=actor_id, tenant_id=tenant_id, app_id=app_id, detail=detail)
