"""Which line of a language? What the app's files wish for, against what there is. Pure.

Debian has one version of a language in each release and chooses its patch level, so an exact wish ("3.11.4")
means its line ("3.11"). Of several lines that fit, the one of the machine's own Debian is taken: its base is
shared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

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
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")
_NODE_NAMES = {"node": "*", "stable": "*", "latest": "*", "current": "*", "lts/*": "*", "lts": "*"}
_NODE_LINES = {"lts/hydrogen": "18", "lts/iron": "20", "lts/jod": "22", "lts/krypton": "24"}


@dataclass(frozen=True, slots=True)
class Wish:
    """`text` as the file has it; `file` and `line` (0: not known) are where."""

    text: str
    file: str
    line: int = 0

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file


def choose(language: str, wish: Wish | None, suite: str) -> Runtime:
    """Raises BadInput when no line fits, with those that there are."""
    lines = sorted((r for r in RUNTIMES if r.language == language), key=lambda r: r.suite != suite)
    if wish is None:
        return lines[0]
    fitting = [line for line in lines if _fits(wish, line)]
    if not fitting:
        raise _not_to_be_had(
            wish, language, f"asks for {NAMES[language]} {wish.text[:60]!r}, which is not to be had"
        )
    return fitting[0]


def _not_to_be_had(wish: Wish, language: str, reason: str, how_to_write: str = "") -> BadInput:
    available = sorted(runtime.version for runtime in RUNTIMES if runtime.language == language)
    return BadInput(
        f"{wish.place}: {reason}",
        hint=f"available: {', '.join(available)}{how_to_write}; any other version works with a Dockerfile",
        details={"file": wish.file, "line": wish.line, "available": available},
    )


def _fits(wish: Wish, runtime: Runtime) -> bool:
    if len(wish.text) > _MAX_WISH:
        raise _no_version(wish, runtime)
    text = _HYPHEN.sub(r">=\1 <=\2", _without_names(wish.text.strip().lower()))
    return any(_all_hold(part, wish, runtime) for part in re.split(r"\|\|?", text))


def _without_names(text: str) -> str:
    return _NODE_NAMES.get(text) or _NODE_LINES.get(text) or text


def _all_hold(part: str, wish: Wish, runtime: Runtime) -> bool:
    rest = _COMPARATOR.sub("", part)
    if rest.strip(" ,\t") or (not part.strip() and wish.text.strip()):
        raise _no_version(wish, runtime)
    return all(_holds(m["op"] or "=", _parts(m["version"]), runtime) for m in _COMPARATOR.finditer(part))


def _no_version(wish: Wish, runtime: Runtime) -> BadInput:
    language = runtime.language
    return _not_to_be_had(
        wish,
        language,
        f"{wish.text[:60]!r} is no version of {NAMES[language]} that is to be had, and no range of them",
        f' (write it as "{runtime.version}" or ">={runtime.version}")',
    )


def _parts(text: str) -> Version:
    known = text.replace("x", "*").partition("*")[0].strip(".")
    return tuple(int(part) for part in known.split(".")) if known else ()


def _holds(op: str, wanted: Version, runtime: Runtime) -> bool:
    have = (*runtime.minor, _ANY_PATCH)
    size = len(wanted)
    same = have[:size] == wanted
    if op in ("=", "==", "==="):
        precision = min(size, runtime.version.count(".") + 1)
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


def from_key(text: str, file: str, value: str, key: str) -> Wish | None:
    """A value that a parser found under `key`: the line is the first that names the key and the value."""
    if not value:
        return None
    lines = text.splitlines()
    named = (n for n, line in enumerate(lines, 1) if key in line and value in line)
    return Wish(value, file, next(named, 1))


def first(*ways: Callable[[], Wish | None]) -> Wish | None:
    """The wish that counts: places are asked in order of precedence, and only until one answers."""
    for way in ways:
        wish = way()
        if wish is not None:
            return wish
    return None
