"""allauth's rules for this platform."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignUp(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody signs up: an administrator adds people, a sign-in link lets them in the first time."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
