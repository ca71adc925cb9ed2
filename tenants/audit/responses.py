"""An error as an HTTP answer: status, page or fragment for people, JSON for programs."""

from __future__ import annotations

import sys

import structlog
from django.db import DataError, OperationalError
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
UNSTORABLE = BadInput(
    "this request holds something that the database cannot hold",
    hint="Use text without NUL characters, and numbers of a sensible size.",
)


def of_the_database(request: HttpRequest, error: BaseException | None) -> BerthError | None:
    """What it means to whoever asks; None for our own mistakes, and for what is no error of the database."""
    if isinstance(error, OperationalError):
        log.warning("database.unavailable", path=request.path, error=str(error))
        return DATABASE_BUSY
    if isinstance(error, DataError):
        log.warning("database.refused_input", path=request.path, error=str(error))
        return UNSTORABLE
    return None


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
    # Who asks is not looked up where that may be what failed: their session's id is a part of the request.
    alone = status >= 500 or error is UNSTORABLE
    context = {"error": error, "status": status, "fragment": fragment, "alone": alone}
    return with_retry(render(request, "error.html", context, status=status), error)


def answer(request: HttpRequest, error: BerthError) -> HttpResponse:
    return as_json(error) if request.path.startswith(API) else as_page(request, error)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404"""
    return answer(
        request, NotFound("there is nothing at this address", hint="Go back to the list of your apps.")
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500. Errors that rise outside of views, such as when a session is saved, end here as well."""
    known = of_the_database(request, sys.exc_info()[1])
    if known is not None:
        return answer(request, known)
    error = BerthError("something went wrong inside Berth", hint="Tell the administrator when it happened.")
    if request.path.startswith(API):
        return as_json(error)
    try:
        return HttpResponse(render_to_string("500.html"), status=500)
    except Exception:  # the templates themselves may be what is broken
        text = f"{error.summary}. {error.hint}\n"
        return HttpResponse(text, status=500, content_type="text/plain; charset=utf-8")
