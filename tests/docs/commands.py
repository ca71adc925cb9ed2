"""The commands that the documents show, in their order.

How a document says what is what:
- an indented block holds commands;
- a fenced block behind a line that is only `NAME` is the file of that name, in the folder where one is then;
- a ```text block holds what the last command before it prints, "…" being anything;
- every other fenced block, which names its language, is only shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
INDENTED = "    "
FENCE = "```"
COMMANDS = "commands"
_NAME = re.compile(r"`([\w./-]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """`line` is that of its first line in the document; an indented one's `language` is COMMANDS."""

    line: int
    language: str
    lines: tuple[str, ...]
    above: str  # the nearest text above it


@dataclass(frozen=True, slots=True)
class Command:
    document: str
    line: int
    text: str
    prints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    name: str
    text: str


def steps(document: str) -> list[Command | File]:
    """What a reader who follows the document does."""
    found: list[Command | File] = []
    for block in blocks((ROOT / document).read_text()):
        name = _NAME.fullmatch(block.above)
        last = found[-1] if found else None
        if block.language == COMMANDS:
            found += _commands(document, block)
        elif name:
            found.append(File(name[1], "".join(f"{line}\n" for line in block.lines)))
        elif block.language == "text" and isinstance(last, Command):
            found[-1] = Command(document, last.line, last.text, block.lines)
    return found


def commands(document: str) -> list[Command]:
    return [step for step in steps(document) if isinstance(step, Command)]


def blocks(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    at, above = 0, ""
    while at < len(lines):
        if lines[at].startswith(FENCE):
            end = lines.index(FENCE, at + 1)
            yield Block(at + 2, lines[at].removeprefix(FENCE), tuple(lines[at + 1 : end]), above)
            at, above = end + 1, ""
        elif lines[at].startswith(INDENTED):
            end = next((n for n in range(at, len(lines)) if not lines[n].startswith(INDENTED)), len(lines))
            yield Block(at + 1, COMMANDS, tuple(line.removeprefix(INDENTED) for line in lines[at:end]), above)
            at, above = end, ""
        else:
            above = lines[at] or above
            at += 1


def _commands(document: str, block: Block) -> Iterator[Command]:
    """One a line; a line that ends in a backslash goes on in the next."""
    begun: list[str] = []
    for number, line in enumerate(block.lines, start=block.line):
        begun.append(line)
        if not line.endswith("\\"):
            yield Command(document, number - len(begun) + 1, "\n".join(begun))
            begun = []
