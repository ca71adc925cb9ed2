"""Input from a person, checked: every refusal is a BadInput that names the field in `details["field"]`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from paas.errors import BadInput, Conflict


def bad_field(field: str, summary: str, *, hint: str = "") -> BadInput:
    return BadInput(summary, hint=hint, details={"field": field})


def checked(model: type[models.Model], name: str, value: Any) -> Any:
    """`value` as the model's field takes it, by the field's own type, length, choices and validators."""
    field = model._meta.get_field(name)
    if not isinstance(field, models.Field):
        raise TypeError(f"{name} is a relation, which no person types in")
    if isinstance(value, str):
        encodable(name, value)
    try:
        return field.clean(value, None)
    except ValidationError as error:
        raise bad_field(name, f"{name} {value!r} is not valid", hint=" ".join(error.messages)) from None


def one_line(field: str, value: str, limit: int) -> str:
    """Text for one line of a page: stripped, not empty, at most `limit` characters, no control characters."""
    encodable(field, value)
    text = value.strip()
    if not text or len(text) > limit:
        raise bad_field(field, f"{field} must have 1 to {limit} characters, not {len(text)}")
    if any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in text):
        raise bad_field(
            field, f"{field} must not contain control characters", hint="Use plain text on one line."
        )
    return text


def encodable(field: str, value: str) -> None:
    """No lone surrogates (JSON can carry them), which neither a database nor a process environment can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad_field(field, f"{field} is not valid Unicode text", hint="Send it as UTF-8.") from None


@contextmanager
def unless_taken(taken: Conflict) -> Iterator[None]:
    """To insert a row with a unique name: the constraint picks one of two who race, the other is told."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        raise taken from None
