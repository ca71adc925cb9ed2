"""One path pattern: `*`, `?`, `[a-z]` within a name, `**` across names, as moby/patternmatcher has them.

A tenant's pattern meets a tenant's file names, so matching must stay cheap for any of them: patterns with
few wildcards become a regular expression, the others are run as a set of states, which cannot backtrack.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

MAX_LENGTH = 512
_MOST_FOR_REGEX = 2


@dataclass(frozen=True, slots=True)
class Token:
    """One state: consumes one character ("one"), any number of them, or opens an optional "**/"."""

    kind: Literal["one", "name", "all", "optional"]
    regex: str  # of one character for "one", else the fragment
    close: str = ""  # what the regular expression needs behind this token


_NAME = Token("name", "[^/]*")
_ALL = Token("all", ".*")
_ANY_FOLDERS = (Token("optional", "(?:"), _ALL, Token("one", "/", ")?"))


def compile_glob(text: str) -> Callable[[str], bool]:
    """A test for whole paths without a leading "/". Raises ValueError for a pattern that cannot be read."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    tokens = _tokens(posixpath.normpath(text).lstrip("/"))
    try:
        whole = re.compile("".join(token.regex + token.close for token in tokens), re.DOTALL)
    except re.error as error:
        raise ValueError(str(error)) from error
    if sum(token.kind in ("name", "all") for token in tokens) <= _MOST_FOR_REGEX:
        return lambda path: whole.fullmatch(path) is not None
    return _States(tuple(tokens))


def has_wildcard(text: str) -> bool:
    return any(char in text for char in "*?[\\")


class _States:
    """Thompson's construction: all states at once, one step a character."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self.tokens = tokens
        self.singles = [re.compile(t.regex, re.DOTALL) if t.kind == "one" else None for t in tokens]

    def __call__(self, path: str) -> bool:
        states = self._closure({0})
        for char in path:
            states = self._closure(self._step(states, char))
            if not states:
                return False
        return len(self.tokens) in states

    def _step(self, states: set[int], char: str) -> set[int]:
        after = set()
        for state in states:
            if state == len(self.tokens):
                continue
            kind, single = self.tokens[state].kind, self.singles[state]
            if kind == "all" or (kind == "name" and char != "/"):
                after.add(state)
            elif single and single.fullmatch(char):
                after.add(state + 1)
        return after

    def _closure(self, states: set[int]) -> set[int]:
        seen, todo = set(states), list(states)
        while todo:
            state = todo.pop()
            kind = self.tokens[state].kind if state < len(self.tokens) else "one"
            free = {"one": (), "name": (1,), "all": (1,), "optional": (1, len(_ANY_FOLDERS))}[kind]
            new = {state + step for step in free} - seen
            seen |= new
            todo.extend(new)
        return seen


@lru_cache(maxsize=256)
def _single(char: str) -> Token:
    return Token("one", re.escape(char))


def _tokens(body: str) -> list[Token]:
    tokens: list[Token] = []
    i = 0
    while i < len(body):
        piece, i = _next(body, i)
        tokens.extend(piece)
    return tokens


def _next(body: str, i: int) -> tuple[tuple[Token, ...], int]:
    char = body[i]
    if char == "*":
        return _stars(body, i)
    if char == "?":
        return (Token("one", "[^/]"),), i + 1
    if char == "[":
        return _class(body, i)
    if char == "\\":
        if i + 1 == len(body):
            raise ValueError("a `\\` at its end")
        return (_single(body[i + 1]),), i + 2
    return (_single(char),), i + 1


def _stars(body: str, i: int) -> tuple[tuple[Token, ...], int]:
    end = i
    while end < len(body) and body[end] == "*":
        end += 1
    if end - i == 1:
        return (_NAME,), end
    if body[end : end + 1] == "/":
        return _ANY_FOLDERS, end + 1
    return (_ALL,), end


def _class(body: str, i: int) -> tuple[tuple[Token, ...], int]:
    start = i + 1
    negated = body[start : start + 1] in ("^", "!")
    start += negated
    end = start
    while end < len(body) and (body[end] != "]" or end == start):
        end += 2 if body[end] == "\\" else 1
    if end >= len(body):
        raise ValueError("a `[` without its `]`")
    inner = re.sub(r"([\[&~|])", r"\\\1", body[start:end])
    return (Token("one", f"(?!/)[{'^' if negated else ''}{inner}]"),), end + 1
