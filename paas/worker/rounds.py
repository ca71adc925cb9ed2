"""Level-triggered duties look at so many rows each time, and at all of them in turn: what one look costs does
not grow with what the machine carries. What must be noticed at once has a notice of its own."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


class Round:
    """Through rows in the order of their ids, which are random, and from the beginning again."""

    def __init__(self, most: int) -> None:
        self._most, self._after = most, ""

    def next(self, rows: QuerySet[Row]) -> list[Row]:
        """The next `most` of them; all, where they are fewer."""
        found = list(rows.filter(pk__gt=self._after).order_by("pk")[: self._most])
        if self._after and len(found) < self._most:
            begun = rows.filter(pk__lte=self._after).order_by("pk")
            found += begun[: self._most - len(found)]
        self._after = str(found[-1].pk) if len(found) == self._most else ""
        return found
