"""Ids made by the server: twelve hexadecimal digits, short enough for an interface name."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import models


def new_id() -> str:
    return secrets.token_hex(6)


class IdField(models.CharField):  # type: ignore[type-arg]
    """A primary key that the server makes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{**kwargs, "primary_key": True, "max_length": 12, "default": new_id, "editable": False}
        )
