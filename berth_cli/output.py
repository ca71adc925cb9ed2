"""What people and programs read: results on stdout, all else on stderr; text from apps made inert."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
# CSI, OSC and the other escape sequences (ECMA-48, 5.3 to 5.6).
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]|\x9b[0-?]*[ -/]*[@-~]"
)


def inert(text: str) -> str:
    """Without escape sequences, control characters and bidi controls: it cannot steer a terminal."""
    return "".join(
        c for c in _ESCAPES.sub("", text) if c in "\t\n" or unicodedata.category(c) not in ("Cc", "Cf")
    )


def line(text: str) -> None:
    out.print(Text(inert(text)))


def note(text: str) -> None:
    err.print(Text(inert(text), style="dim"))


def error(summary: str, hint: str = "") -> None:
    err.print(Text("Error: ", style="bold red") + Text(inert(summary)))
    if hint:
        err.print(Text(f"Hint: {inert(hint)}"))


def as_json(data: Any) -> None:
    print(json.dumps(data, indent=2))  # to stdout, without colours


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    shown = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        shown.add_row(*(Text(inert(str("" if cell is None else cell))) for cell in row))
    out.print(shown)


def size(count: int) -> str:
    """What was measured, in the words of the dashboard: 512 MiB, 1.5 GiB."""
    for unit, of in (("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20)):
        if count < of << 10:
            return f"{count / of:.0f} {unit}"
    return f"{count / (1 << 30):.1f} GiB".replace(".0 ", " ")


def exact(count: int) -> str:
    """What somebody chose, in the largest unit of which it is a whole number: 2 GiB, 1100 MiB."""
    for unit, of in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count and count % of == 0:
            return f"{count // of} {unit}"
    return f"{count} B"


def when(timestamp: str | None) -> str:
    return (timestamp or "")[:19].replace("T", " ")


def as_json_line(data: Any) -> None:
    print(json.dumps(data), flush=True)
