"""What every part of the API shares: strict input, and the shape of an error."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from ninja import Schema
from pydantic import ConfigDict, Field, field_validator

Limit = Annotated[int, Field(ge=1, le=200)]


class Input(Schema):
    """A field that is not declared is refused, never ignored: nothing can be assigned by the way."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @field_validator("*")
    @classmethod
    def _can_be_looked_up(cls, value: Any) -> Any:
        """No lone surrogates, which JSON can carry. What lists and mappings hold is checked by the actions."""
        try:
            value.encode() if isinstance(value, str) else None
        except UnicodeEncodeError:
            raise ValueError("must be Unicode text") from None
        return value


class ErrorDetail(Schema):
    summary: str
    hint: str
    details: dict[str, Any]


class ErrorOut(Schema):
    error: ErrorDetail


ERRORS: dict[Any, Any] = {frozenset({400, 401, 403, 404, 409, 411, 413, 429, 503}): ErrorOut}
