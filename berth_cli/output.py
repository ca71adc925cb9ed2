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


def mib(count: int) -> str:
    return f"{count / 1048576:.0f} MiB"


def gib(count: int) -> str:
    return f"{count / 1073741824:.1f} GiB"


def when(timestamp: str | None) -> str:
    return (timestamp or "")[:19].replace("T", " ")


def as_json_line(data: Any) -> None:
    print(json.dumps(data), flush=True)
