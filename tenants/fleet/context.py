"""What pages of apps say of the machine: no folder of theirs knows it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest

from tenants.fleet.models import Machine


def swap(request: HttpRequest) -> dict[str, Callable[[], bool]]:
    """Asked of the database only by a page that shows it."""
    return {"has_no_swap": lambda: Machine.objects.filter(swap_bytes=0).exists()}
