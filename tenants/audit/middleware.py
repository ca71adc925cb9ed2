"""Errors raised on purpose become answers that say what, why and what to do next."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from paas.errors import BerthError, HostProblem
from tenants.audit.responses import answer, database_busy

log = structlog.get_logger()


class BerthErrors:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, OperationalError):
            return database_busy(request, exception)
        if not isinstance(exception, BerthError):
            return None
        if isinstance(exception, HostProblem):
            log.error("host.problem", path=request.path, summary=exception.summary)
        return answer(request, exception)
