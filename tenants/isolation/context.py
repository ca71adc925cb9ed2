"""What every page of an administrator shows: that a promise is broken."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest

from tenants.accounts.access import is_admin
from tenants.isolation import selectors


def alarm(request: HttpRequest) -> dict[str, Any]:
    """Lazy: pages of others ask the database nothing."""
    user = getattr(request, "user", None)
    # Templates call it; a lazy object would be no number to their filters.
    return {"isolation_broken": cache(lambda: selectors.broken() if user is not None and is_admin(user) else 0)}
