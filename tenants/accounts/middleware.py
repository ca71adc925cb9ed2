"""Times are shown in the reader's zone: the browser's by its cookie, else the person's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from tenants.accounts.models import User


class ReaderTimeZone:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with timezone.override(_zone(request)):
            return self.get_response(request)


def _zone(request: HttpRequest) -> ZoneInfo:
    name = request.COOKIES.get("tz", "")
    if name not in _names():
        name = request.user.time_zone if isinstance(request.user, User) else ""
    return ZoneInfo(name if name in _names() else "UTC")


@cache
def _names() -> frozenset[str]:
    """Only names of the list: a cookie must not choose which file is opened."""
    return frozenset(available_timezones())
