"""Dockerfile text -> instructions: directives, comments, continuation lines, flags, here-documents. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from paas.builder.dockerfile.errors import wrong

MAX_INSTRUCTIONS = 500
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.*?)\s*")
_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S*))?(?:\s+|$)")
_HEREDOC = re.compile(r"""(?<![<\\])<<(-?)(["']?)([A-Za-z_][A-Za-z0-9_]*)\2(?=\s|$|[;&|)>])""")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WITH_HEREDOC = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """`expand` is false when the delimiter was quoted."""

    name: str
    content: str
    expand: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """`keyword` in upper case, `value` what follows the flags, lines joined, not yet expanded."""

    line: int
    keyword: str
    value: str
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: tuple[Heredoc, ...] = ()

    @property
    def title(self) -> str:
        """The instruction as one line for a log."""
        words = [self.keyword, *(f"--{key}={value}" for key, value in self.flags), self.value]
        text = " ".join(" ".join(words).split())
        return text if len(text) <= 120 else f"{text[:119]}…"


@dataclass(frozen=True, slots=True)
class Dockerfile:
    name: str
    escape: str
    instructions: tuple[Instruction, ...]


def parse(text: str, name: str = "Dockerfile") -> Dockerfile:
    """Raises BadInput with file and line."""
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        control = _CONTROL.search(line)
        if control:
            wrong(name, number, f"holds the control character {control[0]!r}", "remove it")
    escape, start = _directives(lines, name)
    return Dockerfile(name, escape, _Reader(lines, name, escape).read(start))


def _directives(lines: list[str], name: str) -> tuple[str, int]:
    """`# key=value` lines at the very top; the first other line ends them."""
    escape = "\\"
    for index, line in enumerate(lines):
        directive = _DIRECTIVE.fullmatch(line.strip())
        key = directive[1].lower() if directive else ""
        if directive and key == "syntax":
            wrong(
                name,
                index + 1,
                f"`# syntax={directive[2][:60]}` is refused: it would run a build program from a registry",
                "remove the line; Berth reads the Dockerfile itself",
            )
        if directive and key == "escape":
            if directive[2] not in ("\\", "`"):
                wrong(name, index + 1, f"escape is {directive[2][:20]!r}", "use `\\` or `` ` ``")
            escape = directive[2]
        elif key != "check":
            return escape, index
    return escape, len(lines)


class _Reader:
    """Walks over the lines; `at` is the next one that is not read yet."""

    def __init__(self, lines: list[str], name: str, escape: str) -> None:
        self.lines, self.name, self.at = lines, name, 0
        self.continued = re.compile(re.escape(escape) + r"[ \t]*$")

    def read(self, start: int) -> tuple[Instruction, ...]:
        self.at = start
        found = []
        while self.at < len(self.lines):
            if _is_blank(self.lines[self.at]):
                self.at += 1
            else:
                found.append(self._instruction())
        if len(found) > MAX_INSTRUCTIONS:
            wrong(
                self.name,
                found[MAX_INSTRUCTIONS].line,
                f"more than {MAX_INSTRUCTIONS} instructions",
                "join some",
            )
        return tuple(found)

    def _instruction(self) -> Instruction:
        line = self.at + 1
        text = self._logical_line()
        match = _INSTRUCTION.fullmatch(text)
        if not match:
            wrong(
                self.name, line, f"{text.strip()[:60]!r} is not an instruction", "write `INSTRUCTION arguments`"
            )
        keyword, rest = match[1].upper(), (match[2] or "").strip()
        flags, value = _flags(rest)
        heredocs = self._heredocs(value, line) if keyword in _WITH_HEREDOC else ()
        return Instruction(line, keyword, value, flags, heredocs)

    def _logical_line(self) -> str:
        parts: list[str] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if parts and _is_blank(line):
                continue  # comments and empty lines inside a continued instruction are dropped
            more = self.continued.search(line)
            parts.append(line[: more.start()] if more else line)
            if not more:
                break
        return "".join(parts)

    def _heredocs(self, value: str, line: int) -> tuple[Heredoc, ...]:
        return tuple(self._heredoc(match, line) for match in _HEREDOC.finditer(value))

    def _heredoc(self, match: re.Match[str], line: int) -> Heredoc:
        strip_tabs, quote, end = match.groups()
        content: list[str] = []
        while True:
            if self.at == len(self.lines):
                wrong(
                    self.name,
                    line,
                    f"the here-document {end!r} has no end",
                    f"add a line that holds only {end}",
                )
            text = self.lines[self.at].lstrip("\t") if strip_tabs else self.lines[self.at]
            self.at += 1
            if text == end:
                return Heredoc(end, "".join(f"{part}\n" for part in content), expand=not quote)
            content.append(text)


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _flags(rest: str) -> tuple[tuple[tuple[str, str], ...], str]:
    flags = []
    while match := _FLAG.match(rest):
        flags.append((match[1], match[2] or ""))
        rest = rest[match.end() :]
    return tuple(flags), rest


def json_list(value: str) -> tuple[str, ...] | None:
    """The exec form `["a", "b"]`, or None for anything else (which is then the shell form, as in Docker)."""
    if not value.startswith("["):
        return None
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, list) or not all(isinstance(part, str) for part in parsed):
        return None
    return tuple(parsed)


def without_heredocs(value: str) -> str:
    """The words of an instruction beside its here-documents' markers."""
    return _HEREDOC.sub("", value).strip()
