"""Reading a TOML table exactly: each key is asked for by name and type, whatever is left over is an error."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from paas.builder.toml_lines import Path, lines_of
from paas.errors import BadInput

_POSITION = re.compile(r" \(at line (\d+), column \d+\)$")
_TYPES = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


@dataclass(slots=True)
class Document:
    """A parsed file that can say on which line a key is."""

    name: str
    data: dict[str, Any]
    lines: dict[Path, int]

    def wrong(self, path: Path, reason: str, hint: str) -> NoReturn:
        line = next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), 1)
        key = ".".join(path)
        raise BadInput(
            f"{self.name}, line {line}: {key}: {reason}",
            hint=hint,
            details={"file": self.name, "line": line, "key": key},
        )


def load(text: str, name: str) -> Document:
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        position = _POSITION.search(str(error))
        line = int(position[1]) if position else text.count("\n") + 1
        reason = _POSITION.sub("", str(error)).removesuffix(" (at end of document)")
        raise BadInput(
            f"{name}, line {line}: {reason}",
            hint='write `key = "text"`, `key = 1` or `[section]`, as TOML has it',
            details={"file": name, "line": line},
        ) from error
    return Document(name, data, lines_of(text))


def nearest(name: str, allowed: Iterable[str]) -> str:
    """What to do about an unknown name: the one that was meant, and what there is."""
    allowed = list(allowed)
    close = difflib.get_close_matches(name.lower(), allowed, n=1, cutoff=0.6)
    listing = "allowed here: " + ", ".join(allowed)
    return f"did you mean {close[0]!r}? {listing}" if close else listing


@dataclass(slots=True)
class Table:
    """One table of a document. Every key that is read is crossed off; `finish` refuses the others."""

    document: Document
    path: Path
    data: dict[str, Any]
    known: list[str] = field(default_factory=list)

    def wrong(self, key: str, reason: str, hint: str) -> NoReturn:
        self.document.wrong((*self.path, key), reason, hint)

    def _take(self, key: str, kinds: tuple[type, ...], hint: str = "") -> Any:
        self.known.append(key)
        value = self.data.get(key)
        if value is None or (isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)):
            return value
        expected = " or ".join(_TYPES[kind] for kind in kinds if not (kind is int and float in kinds))
        found = _TYPES.get(type(value), "a date or time")
        return self.wrong(key, f"is {found}, not {expected}", hint or _how_to_write(key, kinds))

    def text(
        self, key: str, default: str = "", *, pattern: str = r"[^\x00-\x1f\x7f]+", allowed: str = ""
    ) -> str:
        value = self._take(key, (str,))
        if value is None:
            return default
        if not re.fullmatch(pattern, value):
            self.wrong(key, f"{value[:60]!r} is not allowed", allowed or "use one line of text, not empty")
        return str(value)

    def choice(self, key: str, allowed: Iterable[str]) -> str:
        value = self._take(key, (str,))
        if value is not None and value not in allowed:
            self.wrong(key, f"{value[:60]!r} is not known", nearest(value, allowed))
        return value or ""

    def number(self, key: str, default: float | None, low: float, high: float) -> float | None:
        return self._number(key, default, low, high, (int, float))

    def whole(self, key: str, default: int | None, low: int, high: int) -> int | None:
        value = self._number(key, default, low, high, (int,))
        return None if value is None else int(value)

    def text_or_whole(self, key: str, allowed: str) -> str | int | None:
        """None when the key is missing. What the text may say is the caller's to check."""
        value: str | int | None = self._take(key, (str, int), allowed)
        return value

    def truth(self, key: str) -> bool | None:
        """None when the key is missing."""
        value: bool | None = self._take(key, (bool,))
        return value

    def _number(
        self, key: str, default: float | None, low: float, high: float, kinds: tuple[type, ...]
    ) -> float | None:
        value = self._take(key, kinds)
        if value is None:
            return default
        if not low <= value <= high:
            self.wrong(key, f"{value} is out of range", f"use {low} to {high}")
        return float(value)

    def command(self, key: str, shell: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        """Text runs in the container's shell, a list is executed as it is, empty arguments and all; ()
        when the key is missing."""
        value = self._take(key, (str, list))
        if value is None:
            return ()
        parts = value if isinstance(value, list) else [value]
        if not parts or not all(isinstance(part, str) for part in parts) or not parts[0].strip():
            self.wrong(key, "is not a command", 'write "python app.py" or ["python", "app.py"]')
        if any("\0" in part or len(part) > 4096 for part in parts):
            self.wrong(key, "holds NUL or more than 4,096 characters", "move the command to a script")
        return tuple(parts) if isinstance(value, list) else shell(value)

    def table(self, key: str) -> Table:
        return Table(self.document, (*self.path, key), self._take(key, (dict,)) or {})

    def tables(self, key: str, pattern: str, allowed: str) -> dict[str, Table]:
        """The tables of a table whose keys are names of the writer's own."""
        parent = self.table(key)
        for name in parent.data:
            if not re.fullmatch(pattern, name):
                parent.wrong(name, f"{name[:60]!r} is not a name", allowed)
        return {name: parent.table(name) for name in parent.data}

    def pairs(self, key: str, pattern: str, allowed: str) -> tuple[tuple[str, str], ...]:
        """A table of text by names of the writer's own."""
        parent = self.table(key)
        for name in parent.data:
            if not re.fullmatch(pattern, name):
                parent.wrong(name, f"{name[:60]!r} is not a variable's name", allowed)
            value = parent._take(name, (str,))
            if "\0" in value:
                parent.wrong(name, "holds NUL", "remove it")
        return tuple(parent.data.items())

    def finish(self) -> None:
        for key in self.data:
            if key not in self.known:
                self.wrong(key, "is not known", nearest(key, self.known))


def _how_to_write(key: str, kinds: tuple[type, ...]) -> str:
    if kinds == (str,):
        return f'put it in quotes: {key} = "…"'
    if kinds == (dict,):
        return f"write it as a section of its own: [{key}]"
    if kinds == (bool,):
        return f"write {key} = true or {key} = false"
    if list in kinds:
        return f'write {key} = "…" or {key} = ["…", "…"]'
    return f"write {key} = 1, without quotes"
