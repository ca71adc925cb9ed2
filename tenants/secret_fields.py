"""Text that is encrypted at rest (Fernet: AES-128-CBC with HMAC-SHA256), with keys that can rotate."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import models


@cache
def _box() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else _box().encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, expression: object, connection: object) -> str | None:
        return None if value is None else _box().decrypt(value.encode()).decode()


class EncryptedJSONField(models.TextField):  # type: ignore[type-arg]
    """A mapping of text to text."""

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else _box().encrypt(json.dumps(value).encode()).decode()

    def from_db_value(self, value: str | None, expression: object, connection: object) -> dict[str, str] | None:
        return None if value is None else json.loads(_box().decrypt(value.encode()))

    def to_python(self, value: Any) -> Any:
        return value
