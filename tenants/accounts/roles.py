"""Roles, from least to most. What needs which is in docs/reference/api.md and proved by the access matrix."""

from __future__ import annotations

from tenants.accounts.models import Role

_ORDER = (Role.VIEWER, Role.DEVELOPER, Role.OWNER)


def includes(role: Role, needed: Role) -> bool:
    """Whether `role` may do all that `needed` may."""
    return _ORDER.index(role) >= _ORDER.index(needed)
