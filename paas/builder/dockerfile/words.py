"""Variables and quotes in a Dockerfile's words ("Environment replacement" in the reference). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEPTH = 20
_LONGEST = 65_536


class Unreadable(Exception):
    """A word that cannot be read; the text says why."""


def expand(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """`$name`, `${name}`, `${name:-word}`, `:+`, `:?` (also without the colon) replaced; quotes removed.

    Nothing is replaced in single quotes or behind the escape character.
    """
    return _Word(text, variables, escape).read()


def split(text: str, escape: str = "\\") -> list[str]:
    """Words at white space outside quotes; quotes and escapes are kept for `expand`."""
    return list(_split(text, escape))


def _split(text: str, escape: str) -> Iterator[str]:
    word, quote, i = "", "", 0
    while i < len(text):
        char = text[i]
        if char == escape and quote != "'" and i + 1 < len(text):
            word += text[i : i + 2]
            i += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        if char.isspace() and not quote:
            if word:
                yield word
            word = ""
        else:
            word += char
        i += 1
    if quote:
        raise Unreadable(f"a {quote} without its end")
    if word:
        yield word


class _Word:
    def __init__(self, text: str, variables: Mapping[str, str], escape: str, depth: int = 0) -> None:
        if depth > _DEPTH:
            raise Unreadable("variables are nested too deep")
        self.text, self.variables, self.escape, self.depth = text, variables, escape, depth
        self.at = 0

    def read(self) -> str:
        out, size = [], 0
        while self.at < len(self.text):
            out.append(self._piece())
            size += len(out[-1])
            if size > _LONGEST:  # a variable made of itself doubles with each instruction
                raise Unreadable(f"it would be longer than {_LONGEST:,} characters")
        return "".join(out)

    def _piece(self) -> str:
        char = self.text[self.at]
        if char == "'":
            return self._single()
        if char == '"':
            return self._double()
        if char == "$":
            return self._variable()
        self.at += 1
        if char == self.escape and self.at < len(self.text):
            self.at += 1
            return self.text[self.at - 1]
        return char

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise Unreadable("a ' without its end")
        start, self.at = self.at + 1, end + 1
        return self.text[start:end]

    def _double(self) -> str:
        self.at += 1
        out = []
        while self.at < len(self.text) and self.text[self.at] != '"':
            char = self.text[self.at]
            if char == "$":
                out.append(self._variable())
                continue
            if char == self.escape and self.text[self.at + 1 : self.at + 2] in ('"', "$", self.escape):
                self.at += 1
                char = self.text[self.at]
            out.append(char)
            self.at += 1
        if self.at >= len(self.text):
            raise Unreadable('a " without its end')
        self.at += 1
        return "".join(out)

    def _variable(self) -> str:
        self.at += 1
        if self.text[self.at : self.at + 1] == "{":
            return self._braces()
        name = _NAME.match(self.text, self.at)
        if not name:
            return "$"
        self.at = name.end()
        return self.variables.get(name[0], "")

    def _braces(self) -> str:
        body = self._body()
        name = _NAME.match(body)
        if not name:
            raise Unreadable(f"${{{body}}} names no variable")
        value, rest = self.variables.get(name[0]), body[name.end() :]
        if not rest:
            return value or ""
        colon = rest.startswith(":")
        operator, word = rest[colon : colon + 1], rest[colon + 1 :]
        given = value is not None and not (colon and value == "")
        if operator == "-":
            return value or "" if given else self._inner(word)
        if operator == "+":
            return self._inner(word) if given else ""
        if operator == "?":
            if not given:
                raise Unreadable(f"{name[0]} is not set{': ' + self._inner(word) if word else ''}")
            return value or ""
        raise Unreadable(f"${{{body}}}: only `:-`, `:+` and `:?` are understood")

    def _body(self) -> str:
        """What is between `{` here and its `}`, which may hold further `${…}`."""
        depth, start = 0, self.at + 1
        while self.at < len(self.text):
            char = self.text[self.at]
            depth += (char == "{") - (char == "}")
            self.at += 2 if char == self.escape else 1
            if depth == 0:
                return self.text[start : self.at - 1]
        raise Unreadable("a ${ without its }")

    def _inner(self, word: str) -> str:
        return _Word(word, self.variables, self.escape, self.depth + 1).read()
