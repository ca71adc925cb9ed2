"""The platform's addresses, and one where a view fails in the way that is asked for."""

from __future__ import annotations

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import path

from paas import urls
from paas.errors import (
    BadInput,
    BerthError,
    Conflict,
    HostProblem,
    NotFound,
    Refused,
    StepFailed,
    TooLarge,
    TooMany,
)

FAILURES: dict[str, Exception] = {
    "bad": BadInput("the <b>name</b> is wrong", hint="choose another"),
    "large": TooLarge("too large"),
    "refused": Refused("not allowed"),
    "many": TooMany("too many", retry_after=60),
    "missing": NotFound("no such thing"),
    "conflict": Conflict("it changed"),
    "step": StepFailed("it failed"),
    "host": HostProblem("no disk"),
    "other": BerthError("odd"),
    "database": OperationalError("database is locked"),
    "bug": ZeroDivisionError("secret detail"),
}


def fail(request: HttpRequest, kind: str) -> HttpResponse:
    raise FAILURES[kind]


urlpatterns = [path("fail/<str:kind>/", fail), path("api/v1/fail/<str:kind>/", fail), *urls.urlpatterns]
handler404, handler500 = urls.handler404, urls.handler500
