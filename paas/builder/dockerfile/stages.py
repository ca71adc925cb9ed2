"""Which stages a Dockerfile has, and which of them a target needs. Pure."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from paas.builder.dockerfile import platforms
from paas.builder.dockerfile.errors import wrong
from paas.builder.dockerfile.parser import Dockerfile, Instruction
from paas.builder.dockerfile.scope import expanded, words

_LONGEST_MOUNT = 8192
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
KNOWN = (
    "FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "WORKDIR", "EXPOSE", "USER", "CMD", "ENTRYPOINT", "LABEL",
    "SHELL", "STOPSIGNAL", "HEALTHCHECK", "VOLUME", "MAINTAINER",
)  # fmt: skip
REFUSED = {"ONBUILD": ("it would run in other people's builds", "put the instruction where it is needed")}


@dataclass(frozen=True, slots=True)
class Block:
    """A FROM with what follows it. `base` is expanded, in the reader's words; `name` is lower-case or ""."""

    start: Instruction
    base: str
    name: str
    body: tuple[Instruction, ...]


def blocks_of(file: Dockerfile, build_args: Mapping[str, str]) -> tuple[dict[str, str], tuple[Block, ...]]:
    """The ARGs before the first FROM with their values, those that are always there too, and the stages."""
    for instruction in file.instructions:
        _refuse_unknown(file, instruction)
    starts = [i for i, instruction in enumerate(file.instructions) if instruction.keyword == "FROM"]
    if not starts:
        wrong(file.name, 1, "there is no FROM", "begin with `FROM <image>`")
    shared = _shared_args(file, file.instructions[: starts[0]], build_args)
    ends = [*starts[1:], len(file.instructions)]
    blocks: list[Block] = []
    for start, end in zip(starts, ends, strict=True):
        blocks.append(_block(file, file.instructions[start:end], shared, blocks))
    return shared, tuple(blocks)


def _refuse_unknown(file: Dockerfile, instruction: Instruction) -> None:
    keyword = instruction.keyword
    if keyword in REFUSED:
        reason, hint = REFUSED[keyword]
        wrong(file.name, instruction.line, f"{keyword} is refused: {reason}", hint)
    if keyword not in KNOWN:
        close = difflib.get_close_matches(keyword, KNOWN, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(KNOWN)}"
        wrong(file.name, instruction.line, f"{keyword[:40]} is not an instruction", hint)


def _shared_args(
    file: Dockerfile, head: tuple[Instruction, ...], build_args: Mapping[str, str]
) -> dict[str, str]:
    shared = platforms.arguments()
    for instruction in head:
        if instruction.keyword != "ARG":
            wrong(file.name, instruction.line, f"{instruction.keyword} comes before FROM", "only ARG may")
        for name, default in parse_arg(file, instruction, shared):
            value = build_args.get(name, default)
            if value is not None:
                shared[name] = value
    return shared


def parse_arg(
    file: Dockerfile, instruction: Instruction, variables: Mapping[str, str]
) -> list[tuple[str, str | None]]:
    """`ARG a=1 b` -> [("a", "1"), ("b", None)]."""
    found = []
    for word in words(file, instruction):
        name, equals, default = word.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            wrong(
                file.name, instruction.line, f"ARG {name[:60]!r} is not a name", "use letters, digits and `_`"
            )
        found.append((name, expanded(file, instruction, default, variables) if equals else None))
    if not found:
        wrong(file.name, instruction.line, "ARG names nothing", "write `ARG name` or `ARG name=default`")
    return found


def _block(
    file: Dockerfile, part: tuple[Instruction, ...], shared: Mapping[str, str], before: list[Block]
) -> Block:
    start = part[0]
    parts = words(file, start)
    if len(parts) not in (1, 3) or (len(parts) == 3 and parts[1].upper() != "AS"):
        wrong(file.name, start.line, f"`{start.title}` is not understood", "write `FROM <image> [AS <name>]`")
    name = parts[2].lower() if len(parts) == 3 else ""
    if name and not _STAGE_NAME.fullmatch(name):
        wrong(file.name, start.line, f"{name[:60]!r} is not a stage's name", "begin with a letter")
    if name and any(block.name == name for block in before):
        wrong(file.name, start.line, f"a stage before is called {name!r} already", "choose another name")
    base = expanded(file, start, parts[0], shared)
    if not base:
        wrong(file.name, start.line, f"{parts[0]!r} is empty", "give the ARG a default in front of FROM")
    return Block(start, base, name, part[1:])


def check_platform(file: Dockerfile, block: Block, shared: Mapping[str, str]) -> None:
    for key, value in block.start.flags:
        if key != "platform":
            wrong(file.name, block.start.line, f"FROM --{key[:40]} is not offered", "remove the flag")
        wanted = expanded(file, block.start, value, shared)
        if not platforms.is_own(wanted):
            reason = (
                f"FROM --platform={wanted[:60]} is refused: images are for this machine, {platforms.name()}"
            )
            wrong(file.name, block.start.line, reason, "remove the flag")


def find(blocks: tuple[Block, ...], reference: str, before: int) -> int | None:
    """The number of the stage that a FROM or `--from` in stage number `before` means; None for an image."""
    if reference.isdecimal() and int(reference) < before:
        return int(reference)
    for index, block in enumerate(blocks[:before]):
        if block.name and block.name == reference.lower():
            return index
    return None


def target_of(file: Dockerfile, blocks: tuple[Block, ...], target: str) -> int:
    """The number of the stage to stop at; the last one when `target` is ""."""
    if not target:
        return len(blocks) - 1
    index = find(blocks, target, len(blocks))
    if index is None:
        names = ", ".join(block.name for block in blocks if block.name) or "none has a name"
        wrong(
            file.name,
            1,
            f"no stage is called {target[:60]!r}, which is the target to build",
            f"stages: {names}",
        )
    return index


def needed(blocks: tuple[Block, ...], target: int) -> list[int]:
    """The stages that `target` is made of, in the order to build them."""
    seen: set[int] = set()
    todo = [target]
    while todo:
        index = todo.pop()
        if index not in seen:
            seen.add(index)
            todo += _uses(blocks, index)
    return sorted(seen)


def _mounted(mount: str) -> list[str]:
    return [part.removeprefix("from=") for part in split_options(mount) if part.startswith("from=")]


def split_options(mount: str) -> list[str]:
    """`type=bind,"target=/a,b"` -> its options, which are written as a line of CSV."""
    return next(csv.reader([mount]), []) if len(mount) <= _LONGEST_MOUNT else [mount]


def _uses(blocks: tuple[Block, ...], index: int) -> list[int]:
    references = [blocks[index].base]
    for instruction in blocks[index].body:
        for key, value in instruction.flags:
            references += [value] if key == "from" else _mounted(value) if key == "mount" else []
    found = (find(blocks, reference, index) for reference in references)
    return [number for number in found if number is not None]
