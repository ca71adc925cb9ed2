"""Secrets that are shown once. They have 256 random bits, so a plain SHA-256 is enough to keep."""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings

TOKEN_PREFIX = "berth_"  # noqa: S105 - lets secret scanners recognise one


def new_secret(prefix: str = "") -> tuple[str, str]:
    """A secret and its digest."""
    secret = prefix + secrets.token_urlsafe(32)
    return secret, digest(secret)


def digest(secret: str) -> str:
    """What rows keep. Looking up by digest leaks nothing by timing: the caller cannot steer its bits."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def sign_in_url(secret: str) -> str:
    return f"{settings.ORIGIN}/sign-in/link/{secret}"
