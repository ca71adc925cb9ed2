"""The difference of two text files, for a reader."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from paas.contents.stack import Stack

LARGEST_BYTES = 256 * 1024
MOST_LINES = 400
LONGEST_LINE = 500


def difference(left: Stack, right: Stack, path: str, mask: Callable[[str], str]) -> str:
    """Unified, three lines around each change; "" where one side is no text or is too large.

    What a side does not have at all is empty there.
    """
    before, after = (_text(stack, path) for stack in (left, right))
    if before is None or after is None:
        return ""
    lines = difflib.unified_diff(mask(before).splitlines(), mask(after).splitlines(), lineterm="", n=3)
    shown = [line[:LONGEST_LINE] for line in list(lines)[2:]]  # without the two lines that name the files
    if len(shown) > MOST_LINES:
        shown = [*shown[:MOST_LINES], f"@@ {len(shown) - MOST_LINES:,} more lines @@"]
    return "\n".join(shown)


def _text(stack: Stack, path: str) -> str | None:
    content = stack.read(path, LARGEST_BYTES) if stack.entry(path) else b""
    if content is None or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
