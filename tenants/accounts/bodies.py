"""Large request bodies: only from people who are signed in, few at once, and not for ever.

A view's thread waits for the body's last byte, and the web process has few threads. The ingress hands over what
is small only once it is whole (paas.router.render); what is large comes as fast as its sender sends it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from paas.errors import HostProblem
from tenants.audit.responses import API, answer

LARGE = 1024 * 1024
AT_ONCE = 4  # of the web process's 8 threads
SECONDS = 1200.0
CROWDED = HostProblem(
    f"{AT_ONCE} uploads are under way on this machine", hint="Try again in a minute.", retryable=True
)
_slots = threading.BoundedSemaphore(AT_ONCE)


class LargeBodies:
    """Stands before whatever reads a body, the CSRF check among it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return self.get_response(request)
        finally:
            if deadline := request.META.pop("berth.deadline", None):
                deadline.cancel()
                _slots.release()

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        if not _is_large(request):
            return None
        # A program's token is judged before its body is read (tenants.accounts.tokens).
        if not request.path.startswith(API) and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not _slots.acquire(blocking=False):
            return answer(request, CROWDED)
        deadline = threading.Timer(SECONDS, _hang_up, [request.META.get("gunicorn.socket")])
        request.META["berth.deadline"] = deadline
        deadline.daemon = True
        deadline.start()
        return None


def _is_large(request: HttpRequest) -> bool:
    length = request.META.get("CONTENT_LENGTH") or ""
    return int(length) > LARGE if length.isdecimal() else "HTTP_TRANSFER_ENCODING" in request.META


def _hang_up(connection: socket.socket | None) -> None:
    """Who reads the body sees it end too early; the answer can still be sent."""
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RD)
