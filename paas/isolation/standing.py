"""The outcome of the last look at the machine, in a file: `bin/up --check` can tell it without a database.

Standard library only (see this package).
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

NAME = "isolation.json"


@dataclass(frozen=True, slots=True)
class Standing:
    broken: int  # promises
    looked_at: datetime


def write(state: Path, broken: int, now: datetime) -> None:
    path = state / NAME
    half = path.with_suffix(".new")
    half.write_text(json.dumps({"broken": broken, "looked_at": now.isoformat()}))
    half.replace(path)


def read(state: Path) -> Standing | None:
    """None where nobody has looked yet, or may not read it."""
    with suppress(OSError, ValueError, KeyError):
        found = json.loads((state / NAME).read_text())
        return Standing(int(found["broken"]), datetime.fromisoformat(found["looked_at"]))
    return None
