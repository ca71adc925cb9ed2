"""Bearer tokens: looked up by digest, dead with revocation, never able to do more than their scope."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from paas.errors import BerthError, Refused
from tenants.accounts.limits import FailureLimit
from tenants.accounts.models import ApiToken, User
from tenants.accounts.secrets import digest

SAFE = ("GET", "HEAD", "OPTIONS")
USE_IS_NOTED_EVERY = timedelta(minutes=5)
failures = FailureLimit("token", what="a token", most=20, seconds=300)


class Unauthorized(BerthError):
    """401: no token, or one that is wrong, revoked, or of a person who was shut out. All look the same."""


class TokenAuth(HttpBearer):
    def __call__(self, request: HttpRequest) -> ApiToken:
        found = super().__call__(request)
        if not isinstance(found, ApiToken):
            raise Unauthorized(
                "this needs a valid API token",
                hint="Make one on your account page, and send it as Authorization: Bearer berth_…",
            )
        return found

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        failures.check(request)
        try:
            found = live_tokens().get(digest=digest(token))
        except ApiToken.DoesNotExist:
            failures.failed(request)
            return None
        if found.scope == ApiToken.Scope.READ and request.method not in SAFE:
            raise Refused(f"the token {found.name!r} can only read", hint="Use a token that may change things.")
        _note_use(found)
        request.user = found.user
        return found


def live_tokens() -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(revoked_at=None, user__is_active=True).select_related("user")


def _note_use(token: ApiToken) -> None:
    """Coarse: to read costs no write, nor, on SQLite, the lock that even an UPDATE of no row takes."""
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - USE_IS_NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)


def person(request: HttpRequest) -> User:
    """Who the token belongs to."""
    if not isinstance(request.user, User):
        raise Unauthorized("this needs a valid API token")
    return request.user
