""".dockerignore, as the Dockerfile reference (".dockerignore file") and moby/patternmatcher read it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from paas.builder.glob import compile_glob
from paas.errors import BadInput

NAME = ".dockerignore"
MAX_PATTERNS = 500


@dataclass(frozen=True, slots=True)
class Pattern:
    text: str
    matches: Callable[[str], bool]
    negated: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """`hits` says for each pattern if it fits the path or a folder above it; children inherit it."""

    ignored: bool
    hits: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Ignore:
    """Judges paths relative to the source's root, without a leading "/"; the last pattern that fits wins."""

    patterns: tuple[Pattern, ...] = ()

    @property
    def has_exceptions(self) -> bool:
        """True when something below an ignored folder may be wanted all the same."""
        return any(pattern.negated for pattern in self.patterns)

    def judge(self, path: str, parent: Verdict | None = None) -> Verdict:
        """`parent` is the verdict on the folder that holds `path`; None for the root."""
        above = parent.hits if parent else (False,) * len(self.patterns)
        hits = tuple(hit or p.matches(path) for hit, p in zip(above, self.patterns, strict=True))
        decisive = [p.negated for hit, p in zip(hits, self.patterns, strict=True) if hit]
        return Verdict(bool(decisive) and not decisive[-1], hits)

    def __call__(self, path: str) -> bool:
        verdict = None
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            verdict = self.judge("/".join(parts[:depth]), verdict)
        return verdict is not None and verdict.ignored

    def __add__(self, other: Ignore) -> Ignore:
        return Ignore(self.patterns + other.patterns)


def parse(text: str, name: str = NAME) -> Ignore:
    """The patterns of a file; raises BadInput with the line of one that cannot be read."""
    patterns = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        try:
            pattern = _pattern(line.strip())
        except ValueError as error:
            raise BadInput(
                f"{name}, line {number}: {line.strip()[:80]!r} is not a pattern: {error}",
                hint="`*`, `?`, `[a-z]` and `**` are understood; write `\\[` for a bracket itself",
                details={"file": name, "line": number},
            ) from error
        if pattern:
            patterns.append(pattern)
    if len(patterns) > MAX_PATTERNS:
        raise BadInput(f"{name} has {len(patterns):,} patterns", hint=f"use at most {MAX_PATTERNS:,}")
    return Ignore(tuple(patterns))


def built_in(lines: Iterable[str], name: str = "(built in)") -> Ignore:
    return parse("\n".join(lines), name)


def _pattern(text: str) -> Pattern | None:
    """None for one that names the root itself: "." and "/" ignore nothing."""
    negated = text.startswith("!")
    body = text[1:].strip() if negated else text
    if not body:
        raise ValueError("nothing after `!`")
    if posixpath.normpath(body).lstrip("/") in (".", ""):
        return None
    return Pattern(text, compile_glob(body), negated)
