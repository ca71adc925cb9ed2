"""COPY and ADD -> a FilesStep. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paas.builder.dockerfile.errors import wrong
from paas.builder.dockerfile.parser import Dockerfile, Heredoc, Instruction, json_list, without_heredocs
from paas.builder.dockerfile.stages import expanded, words
from paas.builder.plan import ROOT_OWNER, Copy, FilesStep, Operation, Write

_OWNER = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]*)?")
_MODE = re.compile(r"0?[0-7]{3,4}")
_URL = re.compile(r"(?:https?|ftp|git|ssh)://|git@", re.IGNORECASE)
_ARCHIVE = re.compile(r"\.(?:tar|tar\.(?:gz|bz2|xz|zst)|tgz|tbz2|txz)\Z", re.IGNORECASE)
_ALLOWED = {"COPY": ("from", "chown", "chmod", "link"), "ADD": ("chown", "chmod", "link")}


@dataclass(frozen=True, slots=True)
class Place:
    """What COPY needs to know of where it stands."""

    file: Dockerfile
    variables: Mapping[str, str]
    workdir: str
    stage_of: Callable[[Instruction, str], int]  # a `--from` to the plan's number of that stage


def copy_step(place: Place, instruction: Instruction) -> FilesStep:
    flags = _flags(place, instruction)
    paths = [_expanded(place, instruction, word) for word in _words(place, instruction)]
    if not paths or (len(paths) < 2 and not instruction.heredocs):
        wrong(
            place.file.name, instruction.line, f"`{instruction.title}` names no destination", "write `COPY a b`"
        )
    sources, dest = paths[:-1], destination(place.workdir, paths[-1])
    if len(sources) + len(instruction.heredocs) > 1 and not dest.endswith("/"):
        hint = f"write {dest}/, with a slash at its end"
        wrong(place.file.name, instruction.line, f"several sources go to {dest}, which is no folder", hint)
    operations: list[Operation] = []
    stage = place.stage_of(instruction, flags["from"]) if "from" in flags else None
    owner = flags.get("chown", ROOT_OWNER if stage is None else None)
    mode = int(flags["chmod"], 8) if "chmod" in flags else None
    if sources:
        clean = tuple(_source(place, instruction, source) for source in sources)
        operations.append(Copy(clean, dest, stage, owner, mode))
    for heredoc in instruction.heredocs:
        path = f"{dest}{heredoc.name}" if dest.endswith("/") else dest
        content = _content(place, instruction, heredoc)
        operations.append(Write(path, content, owner or ROOT_OWNER, 0o644 if mode is None else mode))
    return FilesStep(instruction.title, tuple(operations), place.file.name, instruction.line)


def destination(workdir: str, path: str) -> str:
    """An absolute path; the "/" at its end, which makes it a folder, is kept."""
    folder = path.endswith(("/", "/.")) or path in (".", "..")
    whole = "/" + posixpath.normpath(posixpath.join(workdir, path)).lstrip("/")
    return whole + "/" if folder and whole != "/" else whole


def _flags(place: Place, instruction: Instruction) -> dict[str, str]:
    flags: dict[str, str] = {}
    for key, value in instruction.flags:
        if key not in _ALLOWED[instruction.keyword]:
            allowed = ", ".join(f"--{name}" for name in _ALLOWED[instruction.keyword])
            reason = f"{instruction.keyword} --{key} is not offered"
            wrong(place.file.name, instruction.line, reason, f"use {allowed}")
        flags[key] = value if key == "from" else _expanded(place, instruction, value)
    if "chown" in flags and not _OWNER.fullmatch(flags["chown"]):
        wrong(place.file.name, instruction.line, f"--chown={flags['chown'][:60]} is not `user[:group]`")
    if "chmod" in flags and not _MODE.fullmatch(flags["chmod"]):
        wrong(
            place.file.name, instruction.line, f"--chmod={flags['chmod'][:60]} is no mode", "write it like 755"
        )
    return flags


def _words(place: Place, instruction: Instruction) -> list[str]:
    value = without_heredocs(instruction.value) if instruction.heredocs else instruction.value
    as_list = json_list(value)
    return list(as_list) if as_list is not None else words(place.file, instruction, value)


def _expanded(place: Place, instruction: Instruction, word: str) -> str:
    return expanded(place.file, instruction, word, place.variables)


def _source(place: Place, instruction: Instruction, source: str) -> str:
    if instruction.keyword == "ADD" and _URL.match(source):
        reason = f"ADD of {source[:80]} is refused: a build fetches nothing on the host's behalf"
        wrong(place.file.name, instruction.line, reason, "fetch it in a RUN, or put the file into the source")
    if instruction.keyword == "ADD" and _ARCHIVE.search(source):
        reason = f"ADD does not unpack {source[:80]}"
        wrong(place.file.name, instruction.line, reason, "use COPY, then `RUN tar -xf …`")
    path = posixpath.normpath(source.lstrip("/") or ".")
    if path == ".." or path.startswith("../"):
        reason = f"{instruction.keyword} {source[:80]} leads out of the folder that it copies from"
        wrong(place.file.name, instruction.line, reason, "name a path inside it")
    if "\0" in path:
        wrong(place.file.name, instruction.line, f"{instruction.keyword} names a path with NUL", "remove it")
    return path


def _content(place: Place, instruction: Instruction, heredoc: Heredoc) -> str:
    return _expanded(place, instruction, heredoc.content) if heredoc.expand else heredoc.content
