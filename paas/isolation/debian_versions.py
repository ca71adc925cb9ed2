"""The order of Debian's package versions (deb-version(7)), and of upstream's by the same rules. Pure."""

from __future__ import annotations

import re
from itertools import zip_longest

_PIECES = re.compile(r"(\D*)(\d*)")


def is_before(one: str, other: str) -> bool:
    """Whether package version `one` sorts before `other`: epoch, then upstream's version, then the revision."""
    return _compare_whole(one, other) < 0


def is_before_upstream(one: str, other: str) -> bool:
    """The same of upstream's own numbers, where -rc1 comes before the release that it leads to."""
    return _compare(_candidate(one), _candidate(other)) < 0


def upstream_of(version: str) -> str:
    """`1:2.39.5-0+deb12u3` is upstream's 2.39.5, and `1.1.5+ds1-1` its 1.1.5."""
    _, whole, _ = _split(version)
    return whole.partition("+")[0]


def _split(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.rpartition(":")
    whole, dash, revision = rest.rpartition("-")
    return int(epoch) if colon else 0, whole if dash else rest, revision if dash else ""


def _compare_whole(one: str, other: str) -> int:
    (epoch, whole, revision), (epoch2, whole2, revision2) = _split(one), _split(other)
    return epoch - epoch2 or _compare(whole, whole2) or _compare(revision, revision2)


def _compare(one: str, other: str) -> int:
    """By turns a part without digits and a number. An end sorts as nothing, which only a tilde comes before."""
    pairs = zip_longest(_PIECES.findall(one), _PIECES.findall(other), fillvalue=("", ""))
    for (text, number), (text2, number2) in pairs:
        found = _compare_text(text, text2) or int(number or 0) - int(number2 or 0)
        if found:
            return found
    return 0


def _compare_text(one: str, other: str) -> int:
    for a, b in zip_longest(one, other, fillvalue=""):
        if _weight(a) != _weight(b):
            return _weight(a) - _weight(b)
    return 0


def _weight(character: str) -> int:
    if character == "~":
        return -1
    if not character:
        return 0
    return ord(character) if character.isalpha() else ord(character) + 256


def _candidate(version: str) -> str:
    return version.replace("-rc", "~rc")
