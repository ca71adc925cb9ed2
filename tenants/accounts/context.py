"""What every page's frame shows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from tenants.accounts.access import tenants_of


def shell(request: HttpRequest) -> dict[str, Any]:
    """Lazy: an error page that shows no navigation asks the database nothing."""
    user = getattr(request, "user", None)
    return {
        "my_tenants": SimpleLazyObject(lambda: list(tenants_of(user)) if user is not None else []),
        "dashboard_host": settings.DASHBOARD_HOST,
        "dashboard_origin": settings.ORIGIN,
        "source_max_bytes": settings.SOURCE_MAX_BYTES,
    }
