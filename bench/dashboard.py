"""Pages of the dashboard, asked for as a signed-in administrator's browser does."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.test import Client

from tenants.accounts.models import User

PAGES = ("/", "/machine/", "/machine/density/?by=tenant", "/machine/density/?by=process")
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Dashboard:
    session: str

    def load(self, path: str) -> None:
        """Through the ingress, to the last byte. OSError, HTTPException; HTTPException for what is no page."""
        connection = http.client.HTTPConnection("127.0.0.1", settings.PORT, timeout=PATIENCE_SECONDS)
        try:
            cookie = f"{settings.SESSION_COOKIE_NAME}={self.session}"
            connection.request("GET", path, headers={"Host": settings.DASHBOARD_HOST, "Cookie": cookie})
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"{path} answers {answer.status}")


@contextmanager
def signed_in(user: User) -> Iterator[Dashboard]:
    browser = Client(headers={"Host": settings.DASHBOARD_HOST})
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    try:
        yield Dashboard(browser.cookies[settings.SESSION_COOKIE_NAME].value)
    finally:
        browser.logout()
