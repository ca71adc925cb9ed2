"""An error as an HTTP answer: status, page or fragment for people, JSON for programs."""

from __future__ import annotations

import sys

import structlog
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from paas.errors import (
    BadInput,
    BerthError,
    Conflict,
    HostProblem,
    NeedsLength,
    NotFound,
    Refused,
    StepFailed,
    TooLarge,
    TooMany,
)

log = structlog.get_logger()
API = "/api/"
# The first that fits: subclasses stand before their base.
_STATUS: tuple[tuple[type[BerthError], int], ...] = (
    (TooLarge, 413),
    (NeedsLength, 411),
    (BadInput, 400),
    (TooMany, 429),
    (Refused, 403),
    (NotFound, 404),
    (Conflict, 409),
    (StepFailed, 422),
    (HostProblem, 503),
)
DATABASE_BUSY = HostProblem(
    "the database does not answer just now", hint="Try again in a few seconds; your apps go on.", retryable=True
)


def status_of(error: BerthError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def with_retry(response: HttpResponse, error: BerthError) -> HttpResponse:
    if isinstance(error, TooMany):
        response["Retry-After"] = str(error.retry_after)
    elif isinstance(error, HostProblem):
        response["Retry-After"] = "5"
    return response


def as_json(error: BerthError, status: int | None = None) -> HttpResponse:
    return with_retry(JsonResponse({"error": error.as_dict()}, status=status or status_of(error)), error)


def as_page(request: HttpRequest, error: BerthError) -> HttpResponse:
    """Template error.html. An htmx request gets only what it swaps in (`fragment` is true)."""
    status = status_of(error)
    fragment = bool(getattr(request, "htmx", False))
    page = render(
        request, "error.html", {"error": error, "status": status, "fragment": fragment}, status=status
    )
    return with_retry(page, error)


def answer(request: HttpRequest, error: BerthError) -> HttpResponse:
    return as_json(error) if request.path.startswith(API) else as_page(request, error)


def database_busy(request: HttpRequest, error: OperationalError) -> HttpResponse:
    """The person is told to try again, the log why."""
    log.warning("database.unavailable", path=request.path, error=str(error))
    return answer(request, DATABASE_BUSY)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404"""
    return answer(
        request, NotFound("there is nothing at this address", hint="Go back to the list of your apps.")
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500. Errors that rise outside of views, such as when a session is saved, end here as well."""
    reason = sys.exc_info()[1]
    if isinstance(reason, OperationalError):
        return database_busy(request, reason)
    error = BerthError("something went wrong inside Berth", hint="Tell the administrator when it happened.")
    if request.path.startswith(API):
        return as_json(error)
    try:
        return HttpResponse(render_to_string("500.html"), status=500)
    except Exception:  # the templates themselves may be what is broken
        text = f"{error.summary}. {error.hint}\n"
        return HttpResponse(text, status=500, content_type="text/plain; charset=utf-8")
