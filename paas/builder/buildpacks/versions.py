"""Which line of a language? What the app's files wish for, against what there is. Pure.

Debian has one version of a language in each release and chooses its patch level, so an exact wish ("3.11.4")
means its line ("3.11"), unless the language's own tool compares it with what there is (`is_strict`). For a
range the patch level counts, as the line's image has it; it is looked up only where the answer hangs on it,
since that may make the image. Of several lines that fit, the one of the machine's own Debian is taken: its base
is shared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images.runtimes import RUNTIMES, Runtime

Version = tuple[int, ...]
NAMES = {"python": "Python", "node": "Node", "php": "PHP", "ruby": "Ruby", "go": "Go"}
_ANY_PATCH = 10**6
_MAX_WISH = 200
_COMPARATOR = re.compile(
    r"(?P<op>>=|<=|!=|===?|~>|~=|>|<|=|\^|~)?\s*v?(?P<version>\d+(?:\.(?:\d+|[xX*]))*|[xX*])(?:(?:a|b|rc)\d+|[-+@][\w.+-]*)?"
)
_EXACT = re.compile(r"=*\s*v?(?P<version>\d+\.\d+\.\d+)")
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")
_NODE_NAMES = {"node": "*", "stable": "*", "latest": "*", "current": "*", "lts/*": "*", "lts": "*"}
_NODE_LINES = {"lts/hydrogen": "18", "lts/iron": "20", "lts/jod": "22", "lts/krypton": "24"}


@dataclass(frozen=True, slots=True)
class _Comparator:
    """`is_open`: its version ends in a wildcard."""

    op: str
    wanted: Version
    is_open: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """`text` as the file has it; `file` and `line` (0: not known) are where.

    `is_strict`: an exact version means just that one, since the language's tool would refuse any other.
    """

    text: str
    file: str
    line: int = 0
    is_strict: bool = False

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file


class Available(Protocol):
    """The lines' versions in full, on a machine whose own Debian is `suite`."""

    @property
    def suite(self) -> str: ...

    def version(self, runtime: Runtime) -> Version:
        """As Debian has it; makes the image that knows if it is not there yet."""

    def known_version(self, runtime: Runtime) -> Version:
        """The same if the image is there, else the line."""

    def say(self, line: str) -> None:
        """A line of the build's log, once."""


def choose(language: str, wish: Wish | None, available: Available) -> Runtime:
    """Raises BadInput when no line fits, with those that there are."""
    lines = sorted((r for r in RUNTIMES if r.language == language), key=lambda r: r.suite != available.suite)
    if wish is None:
        return lines[0]
    for line in lines:
        if _fits(wish, line, available):
            _say_which(wish, line, available)
            return line
    reason = f"asks for {NAMES[language]} {wish.text[:60]!r}, which is not to be had"
    raise _not_to_be_had(wish, language, reason, available)


def demand(wish: Wish | None, chosen: Runtime, available: Available) -> None:
    """Raises BadInput when what another file chose is not to this wish, which the language's tool compares."""
    if wish is None or _fits(wish, chosen, available):
        return
    name, version = NAMES[chosen.language], dotted(available.version(chosen))
    reason = f"asks for {name} {wish.text[:60]!r}, but another file chose {chosen.version}, which is {version}"
    raise _not_to_be_had(wish, chosen.language, reason, available)


def _say_which(wish: Wish, line: Runtime, available: Available) -> None:
    exact = _EXACT.fullmatch(wish.text.strip())
    if exact and not wish.is_strict and exact["version"] != dotted(version := available.version(line)):
        available.say(
            f"{wish.place}: {NAMES[line.language]} {exact['version']} asked for, "
            f"{dotted(version)} is what Debian has"
        )


def _not_to_be_had(
    wish: Wish, language: str, reason: str, available: Available, how_to_write: str = ""
) -> BadInput:
    lines = (runtime for runtime in RUNTIMES if runtime.language == language)
    versions = [dotted(version) for version in sorted(map(available.known_version, lines))]
    return BadInput(
        f"{wish.place}: {reason}",
        hint=f"available: {', '.join(versions)}{how_to_write}; any other version works with a Dockerfile",
        details={"file": wish.file, "line": wish.line, "available": versions},
    )


def dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _fits(wish: Wish, runtime: Runtime, available: Available) -> bool:
    if len(wish.text) > _MAX_WISH:
        raise _no_version(wish, runtime, available)
    text = wish.text.strip().lower()
    if runtime.language == "node":
        text = _NODE_NAMES.get(text) or _NODE_LINES.get(text) or text
    text = _HYPHEN.sub(r">=\1 <=\2", text)
    parts = [_comparators(part, wish, runtime, available) for part in re.split(r"\|\|?", text)]

    def fits(have: Version) -> bool:
        return any(all(_holds(one, have, runtime, wish.is_strict) for one in part) for part in parts)

    answers = {fits((*runtime.minor, patch)) for patch in _telling_patches(parts)}
    return answers.pop() if len(answers) == 1 else fits(available.version(runtime))


def _telling_patches(parts: list[list[_Comparator]]) -> set[int]:
    """Patch levels between which no answer changes."""
    named = {one.wanted[2] for part in parts for one in part if len(one.wanted) > 2}
    around = (patch + step for patch in named for step in (-1, 0, 1))
    return {0, _ANY_PATCH, *(patch for patch in around if patch > 0)}


def _comparators(part: str, wish: Wish, runtime: Runtime, available: Available) -> list[_Comparator]:
    rest = _COMPARATOR.sub("", part)
    if rest.strip(" ,\t") or (not part.strip() and wish.text.strip()):
        raise _no_version(wish, runtime, available)
    return [
        _Comparator(m["op"] or "=", _parts(m["version"]), m["version"][-1] in "x*")
        for m in _COMPARATOR.finditer(part)
    ]


def _no_version(wish: Wish, runtime: Runtime, available: Available) -> BadInput:
    language = runtime.language
    return _not_to_be_had(
        wish,
        language,
        f"{wish.text[:60]!r} is no version of {NAMES[language]} that is to be had, and no range of them",
        available,
        f' (write it as "{runtime.version}" or ">={runtime.version}")',
    )


def _parts(text: str) -> Version:
    known = text.replace("x", "*").partition("*")[0].strip(".")
    return tuple(int(part) for part in known.split(".")) if known else ()


def _holds(one: _Comparator, have: Version, runtime: Runtime, is_strict: bool) -> bool:
    op, wanted = one.op, one.wanted
    size = len(wanted)
    same = have[:size] == wanted
    if op in ("=", "==", "==="):
        if is_strict and not one.is_open and runtime.language != "node":  # Node's "18" is open as "18.x" is
            return have == (*wanted, *(0,) * (len(have) - size))
        precision = size if is_strict else min(size, runtime.version.count(".") + 1)
        return have[:precision] == wanted[:precision]
    if op == "^":
        return have >= wanted and have[:1] == wanted[:1]
    if op == "~" and runtime.language == "node":
        return have >= wanted and have[: min(size, 2)] == wanted[:2]
    if op in ("~", "~>", "~="):  # all but the last part stays
        return have >= wanted and have[: max(size - 1, 1)] == wanted[: max(size - 1, 1)]
    holds: dict[str, bool] = {
        ">=": have >= wanted,
        ">": have[:size] > wanted,
        "<=": have[:size] < wanted or same,
        "<": have[:size] < wanted,
        "!=": not same,
    }
    return holds[op]


# --- where wishes are written
def from_config(key: str, text: str) -> Wish | None:
    """[build] of berth.toml; its reader has looked at it already."""
    return Wish(text, "berth.toml") if text else None


def from_line(source: Tree, name: str, prefix: str = "") -> Wish | None:
    """A file whose first line that is no comment is the version; `prefix` may stand in front of it."""
    text = source.text(name, 4096) if source.exists(name) else None
    for number, line in enumerate((text or "").splitlines(), 1):
        word = line.partition("#")[0].strip()
        if word:
            return Wish(word.removeprefix(prefix), name, number)
    return None


def from_key(text: str, file: str, value: str, key: str, *, is_strict: bool = False) -> Wish | None:
    """A value that a parser found under `key`: the line is the first that names the key and the value."""
    if not value:
        return None
    lines = text.splitlines()
    named = (n for n, line in enumerate(lines, 1) if key in line and value in line)
    return Wish(value, file, next(named, 1), is_strict)


def first(*ways: Callable[[], Wish | None]) -> Wish | None:
    """The wish that counts: places are asked in order of precedence, and only until one answers."""
    for way in ways:
        wish = way()
        if wish is not None:
            return wish
    return None
