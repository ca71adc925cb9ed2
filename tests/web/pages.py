"""People in a browser, as far as Django's client goes."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.test import Client

from tenants.accounts.models import User


class Browser(Client):
    """Signed in as `user`, or nobody."""

    def __init__(self, user: User | None = None, **defaults: Any) -> None:
        super().__init__(headers={"Host": settings.DASHBOARD_HOST}, **defaults)
        if user is not None:
            self.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")

    def part(self, path: str) -> Any:
        """As htmx asks for a part of a page."""
        return self.get(
            path,
            headers={"HX-Request": "true", "HX-Current-URL": f"http://{settings.DASHBOARD_HOST}/t/demo/shop/"},
        )


def markup(response: Any) -> str:
    """The page with each run of whitespace as one space, as a browser takes it."""
    return " ".join(response.content.decode().split())
