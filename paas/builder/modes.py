"""A mode as chmod(1) takes it: in octal, or as changes to what is there ("u=rwX,go=rX"). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

_OCTAL = re.compile(r"[0-7]{1,4}|0[0-7]{4}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_CHANGE = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_SPECIAL = {"u": (0o4000, "s"), "g": (0o2000, "s"), "o": (0o1000, "t")}


@dataclass(frozen=True, slots=True)
class Change:
    """One operator of a clause: `who` of "ugo", and `what` of "rwxXst" or one of "ugo" to copy from."""

    who: str
    operator: str
    what: str

    def applied(self, mode: int, *, is_folder: bool) -> int:
        bits, reach = 0, 0
        for who in self.who:
            special, letter = _SPECIAL[who]
            bits |= self._bits(mode, is_folder) << _SHIFT[who] | (special if letter in self.what else 0)
            reach |= 0o7 << _SHIFT[who] | special
        if self.operator == "+":
            return mode | bits
        if self.operator == "-":
            return mode & ~bits
        kept = mode & ~reach
        # As chmod(1): a folder's setuid and setgid bits go only when they are named.
        special = mode & 0o6000 if is_folder and "s" not in self.what else 0
        return kept | bits | special

    def _bits(self, mode: int, is_folder: bool) -> int:
        if self.what in _SHIFT:
            return mode >> _SHIFT[self.what] & 0o7
        executable = "x" in self.what or ("X" in self.what and (is_folder or mode & 0o111 != 0))
        return ("r" in self.what) << 2 | ("w" in self.what) << 1 | executable


@dataclass(frozen=True, slots=True)
class SymbolicMode:
    changes: tuple[Change, ...]


Mode: TypeAlias = int | SymbolicMode


def parse_mode(text: str) -> Mode | None:
    """None for what is no mode."""
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    changes = []
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            return None
        who = "ugo" if "a" in match[1] or not match[1] else "".join(sorted(set(match[1]), key="ugo".index))
        changes += [Change(who, operator, what) for operator, what in _CHANGE.findall(match[2])]
    return SymbolicMode(tuple(changes))


def changed(mode: int, wanted: Mode | None, *, is_folder: bool = False) -> int:
    """What a file's `mode` becomes."""
    if wanted is None or isinstance(wanted, int):
        return mode if wanted is None else wanted
    for change in wanted.changes:
        mode = change.applied(mode, is_folder=is_folder)
    return mode
