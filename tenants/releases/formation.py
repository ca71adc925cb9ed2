"""How many of each process type, as people ask for it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from paas.specs import MOST_OF_A_TYPE
from tenants.checks import bad_field

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


def check_formation(formation: Mapping[str, int], *, known: Sequence[str] | None) -> None:
    """BadInput that names the process type. `known` is None before the first release."""
    if not formation:
        raise bad_field("formation", "no process type is named", hint="Say how many, as in web=2.")
    for name, count in formation.items():
        if known is not None and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(known) or 'none'}."
            raise bad_field(name, f"this app has no process type {name!r}", hint=hint)
        if not _TYPE.fullmatch(name):
            raise bad_field(name, f"{name!r} cannot be a process type", hint="Use letters, digits, _ and -.")
        if isinstance(count, bool) or not 0 <= count <= MOST_OF_A_TYPE:
            raise bad_field(name, f"{name}={count} is out of range", hint=f"Choose 0 to {MOST_OF_A_TYPE}.")
