"""What people and programs read: results on stdout, all else on stderr.

Whatever is told holds names that tenants chose, so each of these prints one line, with what cannot be seen
escaped; only `text`, for what apps and tools printed, leaves tabs as they are and drops what steers a terminal.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
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
# Controls, formats (the bidirectional overrides, too), halves of surrogate pairs, separators of lines: what a
# terminal obeys, breaks a line at, or cannot show.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def visible(value: str, keep: str = "") -> str:
    """One line, with what is not seen escaped as in Python: \\n, \\x1b, \\u202e. A backslash stays as it is,
    which keeps commands legible: who needs to tell one that is in the value from an escape asks for --json."""
    return "".join(c if c in keep or unicodedata.category(c) not in _UNSEEN else _escaped(c) for c in value)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a file's name that is no UTF-8, see os.fsdecode
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def inert(text: str) -> str:
    """Without escape sequences, control characters and bidi controls: it cannot steer a terminal."""
    return "".join(
        c for c in _ESCAPES.sub("", text) if c in "\t\n" or unicodedata.category(c) not in ("Cc", "Cf")
    )


def line(value: str) -> None:
    out.print(Text(visible(value)))


def text(printed: str, *, aside: bool = False) -> None:
    """What an app or a tool printed; `aside` to stderr, beside a result that programs read."""
    (err if aside else out).print(Text(inert(printed), style="dim" if aside else ""))


def difference(lines: Iterable[str]) -> None:
    """Of two texts, indented: what was changed may be a character that is not seen, save tabs."""
    for each in lines:
        out.print(Text("    " + visible(each, keep="\t")))


def note(value: str) -> None:
    err.print(Text(visible(value), style="dim"))


def error(summary: str, hint: str = "", log: Iterable[str] = ()) -> None:
    err.print(Text("Error: ", style="bold red") + Text(visible(summary)))
    for each in log:
        err.print(Text(f"  | {inert(each)}"))
    if hint:
        err.print(Text(f"Hint: {visible(hint)}"))


def as_json(data: Any) -> None:
    print(json.dumps(data, indent=2))  # to stdout, without colours


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    shown = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        shown.add_row(*(Text(visible(str("" if cell is None else cell))) for cell in row))
    out.print(shown)


def size(count: int) -> str:
    """What was measured, in the words of the dashboard: 512 MiB, 1.5 GiB."""
    for unit, of in (("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20)):
        if count < of << 10:
            return f"{count / of:.0f} {unit}"
    return f"{count / (1 << 30):.1f} GiB".replace(".0 ", " ")


def exact(count: int) -> str:
    """What somebody chose, in the largest unit of which it is a whole number: 2 GiB, 1100 MiB. What is none in
    any, 0.7 GiB say, as if it were measured."""
    for unit, of in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count and count % of == 0:
            return f"{count // of} {unit}"
    return size(count)


def rate(count: int) -> str:
    """Bytes a second as networks are sold: 10 Mbit/s. 0 is no limit."""
    return f"{count * 8 / 1_000_000:g} Mbit/s" if count else "no limit"


def when(timestamp: str | None) -> str:
    return (timestamp or "")[:19].replace("T", " ")


def as_json_line(data: Any) -> None:
    print(json.dumps(data), flush=True)
