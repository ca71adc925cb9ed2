"""Errors raised on purpose become answers that say what, why and what to do next."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from paas.errors import BerthError, HostProblem
from tenants.audit.responses import answer, of_the_database

log = structlog.get_logger()


class BerthErrors:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, HostProblem):
            log.error("host.problem", path=request.path, summary=exception.summary)
        known = exception if isinstance(exception, BerthError) else of_the_database(request, exception)
        return None if known is None else answer(request, known)
