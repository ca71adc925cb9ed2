"""On which line of a TOML document is a key? tomllib does not say, and an error message must."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]
# What can hold a bracket, a "#" or a line break that means nothing: strings and comments.
_PIECE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)


def lines_of(text: str) -> dict[Path, int]:
    """The line (from 1) on which each key or table of a valid document is first named."""
    found: dict[Path, int] = {}
    table: Path = ()
    for line, statement in _statements(text):
        keys = [path for path, _ in _paths(tomllib.loads(statement))]
        if statement.startswith("["):
            table = max(keys, key=len)
            keys = [table[:depth] for depth in range(1, len(table) + 1)]
        else:
            keys = [table + path for path in keys]
        for path in keys:
            found.setdefault(path, line)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Every `key = value` and `[header]` with the line on which it begins."""
    depth = start = 0
    line = 1
    text = text.replace("\r\n", "\n") + "\n"
    for piece in _PIECE.finditer(text):
        depth += (piece[0] in ("[", "{")) - (piece[0] in ("]", "}"))
        if piece[0] == "\n" and depth == 0:
            statement = text[start : piece.start()]
            body = statement.lstrip()
            if body and not body.startswith("#"):
                yield line + statement[: len(statement) - len(body)].count("\n"), body
            line += text.count("\n", start, piece.end())
            start = piece.end()


def _paths(document: dict[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in document.items():
        yield (*above, key), value
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))
