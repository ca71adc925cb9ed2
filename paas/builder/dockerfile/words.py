"""Variables and quotes in a Dockerfile's words ("Environment replacement" in the reference). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from paas.builder.dockerfile.patterns import replaced, without_prefix, without_suffix

LONGEST = 65_536
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-+?]|##?|%%?|//?")
_DEPTH = 20
_IN_TEXT = ("$", "`", "\n")  # what the escape character escapes in a here-document, beside itself


class Unreadable(Exception):
    """A word that cannot be read; the text says why."""


def expand(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """`$name`, `${name}` and `${name` with a modifier `}` replaced; quotes removed.

    Nothing is replaced in single quotes or behind the escape character.
    """
    return _Word(text, variables, escape).read()


def expand_text(text: str, variables: Mapping[str, str], limit: int) -> str:
    """The same in a here-document, where quotes are text (POSIX.1-2017, Shell Command Language, 2.7.4)."""
    return _Word(text, variables, "\\", limit).text()


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
    """Reads from left to right; `at` is the next character."""

    def __init__(self, text: str, variables: Mapping[str, str], escape: str, limit: int = LONGEST) -> None:
        self.source, self.variables, self.escape, self.limit = text, variables, escape, limit
        self.at = self.depth = 0

    def _peek(self) -> str:
        return self.source[self.at : self.at + 1]

    def _next(self) -> str:
        self.at += 1
        return self.source[self.at - 1 : self.at]

    def read(self, stop: str = "", *, pattern: bool = False) -> str:
        """Up to one of the characters in `stop`, which must come if there are any, or to the end.

        For a `pattern`, escapes stay, as a backslash with its character.
        """
        out: list[str] = []
        size = 0
        while (char := self._peek()) and char not in stop:
            piece = self._piece(pattern)
            out.append(piece)
            size += len(piece)
            self._check(size)
        if stop and not char:
            raise Unreadable("a ${ without its }")
        return "".join(out)

    def text(self) -> str:
        out: list[str] = []
        size = 0
        while char := self._peek():
            piece = self._variable() if char == "$" else self._text_character()
            out.append(piece)
            size += len(piece)
            self._check(size)
        return "".join(out)

    def _check(self, size: int) -> None:
        if size > self.limit:  # a variable made of itself doubles with each instruction
            raise Unreadable(f"it would be longer than {self.limit:,} characters")

    def _text_character(self) -> str:
        char = self._next()
        if char != self.escape or self._peek() not in (*_IN_TEXT, self.escape):
            return char
        escaped = self._next()
        return "" if escaped == "\n" else escaped

    def _piece(self, pattern: bool) -> str:
        char = self._peek()
        if char == "'":
            return self._single()
        if char == '"':
            return self._double()
        if char == "$":
            return self._variable()
        self.at += 1
        if char == self.escape and self._peek():
            return f"\\{self._next()}" if pattern else self._next()
        return char

    def _single(self) -> str:
        end = self.source.find("'", self.at + 1)
        if end < 0:
            raise Unreadable("a ' without its end")
        start, self.at = self.at + 1, end + 1
        return self.source[start:end]

    def _double(self) -> str:
        self.at += 1
        out = []
        while (char := self._peek()) and char != '"':
            if char == "$":
                out.append(self._variable())
                continue
            self.at += 1
            if char == self.escape and self._peek() in ('"', "$", self.escape):
                char = self._next()
            out.append(char)
        if not char:
            raise Unreadable('a " without its end')
        self.at += 1
        return "".join(out)

    def _variable(self) -> str:
        self.at += 1
        if self._peek() == "{":
            return self._braces()
        name = _NAME.match(self.source, self.at)
        if not name:
            return "$"
        self.at = name.end()
        return self.variables.get(name[0], "")

    def _braces(self) -> str:
        self.depth += 1
        if self.depth > _DEPTH:
            raise Unreadable("variables are nested too deep")
        self.at += 1
        name = _NAME.match(self.source, self.at)
        if not name:
            raise Unreadable(f"{self._shown(self.at - 2)} names no variable")
        self.at = name.end()
        value = self.variables.get(name[0])
        result = value or "" if self._peek() == "}" else self._modified(name[0], value)
        self.at += 1  # the closing brace
        self.depth -= 1
        return result

    def _modified(self, name: str, value: str | None) -> str:
        start = self.at
        found = _OPERATOR.match(self.source, start)
        if not found:
            if not self.source.find("}", start) >= 0:
                raise Unreadable("a ${ without its }")
            raise Unreadable(f"{self._shown(start - len(name) - 2)}: its modifier is not known")
        self.at = found.end()
        operator = found[0]
        if operator[-1] in "-+?":
            return self._chosen(name, value, operator)
        pattern = self.read("/}" if operator[0] == "/" else "}", pattern=True)
        text, twice = value or "", len(operator) == 2
        if operator[0] == "#":
            return without_prefix(text, pattern, longest=twice)
        if operator[0] == "%":
            return without_suffix(text, pattern, longest=twice)
        by = ""
        if self._peek() == "/":
            self.at += 1
            by = self.read("}")
        result = replaced(text, pattern, by, every=twice, limit=self.limit)
        self._check(len(result))
        return result

    def _chosen(self, name: str, value: str | None, operator: str) -> str:
        """`-`, `+` and `?`; with a colon, an empty variable counts as one that is not set."""
        word = self.read("}")
        is_set = value is not None and not (operator[0] == ":" and value == "")
        if operator[-1] == "+":
            return word if is_set else ""
        if is_set:
            return value or ""
        if operator[-1] == "-":
            return word
        raise Unreadable(f"{name} is not set{': ' + word if word else ''}")

    def _shown(self, start: int) -> str:
        return self.source[start : start + 40].partition("}")[0] + "}"
