import re
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.db import connection

django.setup()  # pytest reads this file before pytest-django would do it

from tests.web.cast import cast, platform  # noqa: E402

__all__ = ["cast", "platform"]

THROUGH_ITSELF = re.compile(r'UPDATE "(\w+)" .* IN \(SELECT .* FROM "\1"', re.S)


@pytest.fixture(autouse=True)
def conditions_are_of_the_row_itself() -> Iterator[None]:
    """PostgreSQL looks at the conditions of an UPDATE again when it has waited for another's: at the columns of
    the row itself, never at those in a sub-select, which Django makes of a filter that joins another table."""

    def look(execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        assert not THROUGH_ITSELF.match(sql), f"a condition that a race passes: {sql}"
        return execute(sql, *more)

    with connection.execute_wrapper(look):
        yield
