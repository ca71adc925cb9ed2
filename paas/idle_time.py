"""After how long idle something may fall asleep, as people write it."""

from __future__ import annotations

import re

LEAST_SECONDS, MOST_SECONDS = 10, 30 * 86_400
HOW_TO_WRITE = 'write "10m" (or s, h, d) or a number of seconds, from 10 seconds to 30 days, or "never"'
_TIME = re.compile(r"([0-9]{1,7})([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def idle_seconds(written: str | int) -> int | None:
    """0 for "never"; None for what is no time, or none that is allowed. A number alone is of seconds."""
    if written == "never":
        return 0
    found = _TIME.fullmatch(str(written))
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    return seconds if LEAST_SECONDS <= seconds <= MOST_SECONDS else None


def as_written(seconds: int) -> str:
    """As idle_seconds reads it, in the largest unit of which it is a whole number."""
    if not seconds:
        return "never"
    unit = next(unit for unit in "dhms" if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"
