"""What every page of an administrator shows: that a promise is broken."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from tenants.accounts.access import is_admin
from tenants.isolation import selectors


def alarm(request: HttpRequest) -> dict[str, Any]:
    """Lazy: pages of others ask the database nothing."""
    user = getattr(request, "user", None)
    return {
        "isolation_broken": SimpleLazyObject(
            lambda: selectors.broken() if user is not None and is_admin(user) else 0
        )
    }
