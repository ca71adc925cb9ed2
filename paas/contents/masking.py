"""Texts without the secrets that the platform knows of."""

from __future__ import annotations

from collections.abc import Callable, Collection

MASK = "••••••"
SHORTEST = 6  # a shorter value ("1", "true", "8000") is in every text, and protects nothing


def masking(secrets: Collection[str]) -> Callable[[str], str]:
    """A function that puts MASK in place of each of the values, the longest first."""
    known = sorted((secret for secret in secrets if len(secret) >= SHORTEST), key=len, reverse=True)

    def mask(text: str) -> str:
        for secret in known:
            text = text.replace(secret, MASK)
        return text

    return mask
