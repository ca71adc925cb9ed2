"""The patterns of `${name#pattern}` and its kin: `*` is any text, `?` any character, `\\x` the character x.

A tenant's pattern meets a tenant's text of up to 64 KiB, so all states of the pattern are followed at once, as
the bits of one number: the time grows with the text, whatever the pattern.
"""

from __future__ import annotations

from collections.abc import Sequence

_ANY, _ONE = "*", "?"
Token = tuple[str, str]  # (_ANY or _ONE or "", the character)


def without_prefix(text: str, pattern: str, *, longest: bool) -> str:
    """`#` and `##`."""
    end = _Machine(_tokens(pattern)).end(text, 0, longest)
    return text if end is None else text[end:]


def without_suffix(text: str, pattern: str, *, longest: bool) -> str:
    """`%` and `%%`: a prefix, with everything the other way round."""
    end = _Machine(_tokens(pattern)[::-1]).end(text[::-1], 0, longest)
    return text if end is None else text[: len(text) - end]


def replaced(text: str, pattern: str, by: str, *, every: bool, limit: int) -> str:
    """`/` and `//`: the leftmost match, and of those that begin there the longest.

    Goes no further when the result is longer than `limit`: the caller refuses it.
    """
    tokens = _tokens(pattern)
    machine = _Machine(tokens)
    pieces: list[str] = []
    at = size = 0
    for start in _starts(tokens, text):
        end = machine.end(text, start, longest=True) if start >= at else None
        if end is None or end == start:  # inside the match before, or empty: that replaces nothing
            continue
        pieces += [text[at:start], by]
        size += start - at + len(by)
        at = end
        if not every or size > limit:
            break
    return "".join([*pieces, text[at:]])


def _tokens(pattern: str) -> list[Token]:
    tokens: list[Token] = []
    chars = iter(pattern)
    for char in chars:
        if char == "\\":
            tokens.append(("", next(chars, "\\")))
        elif char != _ANY:
            tokens.append((_ONE, "") if char == _ONE else ("", char))
        elif not tokens or tokens[-1][0] != _ANY:  # two in a row say no more than one
            tokens.append((_ANY, ""))
    return tokens


class _Machine:
    """Bit n of a state set stands for "the first n tokens fit what was read"."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.any = self.one = 0
        self.chars: dict[str, int] = {}
        for i, (kind, char) in enumerate(tokens):
            if kind == _ANY:
                self.any |= 1 << i
            elif kind == _ONE:
                self.one |= 1 << i
            else:
                self.chars[char] = self.chars.get(char, 0) | 1 << i
        self.done = 1 << len(tokens)
        self.begin = self._free(1)

    def _free(self, states: int) -> int:
        """With those that `*` lets in without a character."""
        return states | (states & self.any) << 1

    def step(self, states: int, char: str) -> int:
        fits = states & (self.chars.get(char, 0) | self.one)
        return self._free(fits << 1 | states & self.any)

    def end(self, text: str, start: int, longest: bool) -> int | None:
        """Where the shortest or longest match that begins at `start` ends; None without one."""
        states, found = self.begin, None
        for at in range(start, len(text) + 1):
            if states & self.done:
                found = at
                if not longest:
                    break
            if at == len(text) or not states:
                break
            states = self.step(states, text[at])
        return found


def _starts(tokens: Sequence[Token], text: str) -> list[int]:
    """Where matches begin, from left to right: found from the end, so that each character is read once."""
    machine = _Machine(tokens[::-1])
    states, found = machine.begin, []
    for at in range(len(text) - 1, -1, -1):
        states = machine.step(states, text[at]) | machine.begin
        if states & machine.done:
            found.append(at)
    return found[::-1]
