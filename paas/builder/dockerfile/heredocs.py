"""Here-documents' markers in an instruction's line: `<<NAME`, `<<-NAME`, `<<"NAME"`, `3<<NAME`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A name becomes a file's name in COPY, so it has no slash and does not begin with a dot.
_MARKER = re.compile(
    r"""(?P<descriptor>\d*)<<(?P<tabs>-?)[ \t]*
    (?P<quote>["']?)(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)(?P=quote)(?=[\s;&|)>]|$)""",
    re.VERBOSE,
)
_BEFORE = ";&|("


@dataclass(frozen=True, slots=True)
class Marker:
    """Where it stands, and how its text is read: `expand` is false when the name was quoted."""

    start: int
    end: int
    name: str
    strip_tabs: bool
    expand: bool
    descriptor: str


@dataclass(frozen=True, slots=True)
class Heredoc:
    name: str
    content: str
    expand: bool
    descriptor: str = ""


def markers(value: str, escape: str) -> tuple[Marker, ...]:
    """Those that begin a word; not in quotes, and not where `<<` shifts bits, in `$((…))`."""
    found: list[Marker] = []
    quote, arithmetic, at = "", 0, 0
    while at < len(value):
        char = value[at]
        if char == escape and quote != "'":
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif value.startswith("((", at) or value.startswith("))", at):
            arithmetic += 1 if char == "(" else -1
            at += 1
        elif arithmetic <= 0 and (marker := _marker(value, at)):
            found.append(marker)
            at = marker.end
            continue
        at += 1
    return tuple(found)


def _marker(value: str, at: int) -> Marker | None:
    if at and not value[at - 1].isspace() and value[at - 1] not in _BEFORE:
        return None
    match = _MARKER.match(value, at)
    if match is None:
        return None
    return Marker(
        start=at,
        end=match.end(),
        name=match["name"],
        strip_tabs=bool(match["tabs"]),
        expand=not match["quote"],
        descriptor=match["descriptor"],
    )


def without(value: str, found: tuple[Marker, ...]) -> str:
    """The words of a line beside its markers."""
    kept, at = [], 0
    for marker in found:
        kept.append(value[at : marker.start])
        at = marker.end
    return " ".join([*kept, value[at:]]).strip()
