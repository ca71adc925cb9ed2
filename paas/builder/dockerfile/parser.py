"""Dockerfile text -> instructions: directives, comments, continuation lines, flags, here-documents. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from paas.builder.dockerfile.errors import wrong
from paas.builder.dockerfile.heredocs import Heredoc, Marker, markers, without
from paas.builder.log import short

MAX_INSTRUCTIONS = 500
MAX_TEXT = 2000  # characters of one, in an image's history
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=(.*)")
_DIRECTIVES = ("syntax", "escape", "check")
_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S*))?(?:\s+|$)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WITH_HEREDOC = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class Instruction:
    """`keyword` in upper case, `written` what follows it, `value` what follows the flags, lines joined, not yet
    expanded. `words` are the value without the markers of its here-documents.
    """

    line: int
    keyword: str
    value: str
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    words: str = ""
    written: str = ""

    @property
    def text(self) -> str:
        """The instruction in one line."""
        return short(" ".join([self.keyword, *self.written.split()]), MAX_TEXT)

    @property
    def title(self) -> str:
        return short(self.text)


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """`notes` are for the build log."""

    name: str
    escape: str
    instructions: tuple[Instruction, ...]
    notes: tuple[str, ...] = ()


def parse(text: str, name: str = "Dockerfile") -> Dockerfile:
    """Raises BadInput with file and line."""
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        control = _CONTROL.search(line)
        if control:
            wrong(name, number, f"holds the control character {control[0]!r}", "remove it")
    directives = _directives(lines, name)
    escape = directives.get("escape", "\\")
    instructions = _Reader(lines, name, escape).read(len(directives))
    notes = (f"{name}: `# check=` is left to Docker's own checks",) if "check" in directives else ()
    return Dockerfile(name, escape, instructions, notes)


def _directives(lines: list[str], name: str) -> dict[str, str]:
    """`# key=value` lines at the very top, one each; the first other line ends them."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        directive = _DIRECTIVE.fullmatch(line.strip())
        key = directive[1].lower() if directive else ""
        if directive is None or key not in _DIRECTIVES:
            break
        value = directive[2].strip()
        if key == "syntax":
            reason = f"`# syntax={value[:60]}` is refused: it would run a build program from a registry"
            wrong(name, number, reason, "remove the line; Berth reads the Dockerfile itself")
        if key in found:
            wrong(name, number, f"`# {key}=` is there twice", "keep one of them")
        if key == "escape" and value not in ("\\", "`"):
            wrong(name, number, f"escape is {value[:20]!r}", "use `\\` or `` ` ``")
        found[key] = value
    return found


class _Reader:
    """Walks over the lines; `at` is the next one that is not read yet."""

    def __init__(self, lines: list[str], name: str, escape: str) -> None:
        self.lines, self.name, self.escape, self.at = lines, name, escape, 0
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
        found = markers(value, self.escape) if keyword in _WITH_HEREDOC else ()
        heredocs = tuple(self._heredoc(marker, line) for marker in found)
        words = without(value, found) if found else value
        return Instruction(line, keyword, value, flags, heredocs, words, rest)

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

    def _heredoc(self, marker: Marker, line: int) -> Heredoc:
        content: list[str] = []
        while (text := self._heredoc_line(marker, line)) != marker.name:
            content.append(f"{text}\n")
        return Heredoc(marker.name, "".join(content), marker.expand, marker.descriptor)

    def _heredoc_line(self, marker: Marker, line: int) -> str:
        if self.at == len(self.lines):
            reason = f"the here-document {marker.name!r} has no end"
            wrong(self.name, line, reason, f"add a line that holds only {marker.name}")
        self.at += 1
        text = self.lines[self.at - 1]
        return text.lstrip("\t") if marker.strip_tabs else text


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
    if not isinstance(parsed, list) or not all(isinstance(part, str) and "\0" not in part for part in parsed):
        return None
    return tuple(parsed)
