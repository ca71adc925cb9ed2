"""COPY and ADD -> a FilesStep. Pure."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from paas.builder.dockerfile.addresses import OPENED, out_of_reach
from paas.builder.dockerfile.heredocs import Heredoc
from paas.builder.dockerfile.parser import Instruction, json_list
from paas.builder.dockerfile.scope import Scope
from paas.builder.modes import Mode, changed, parse_mode
from paas.builder.plan import ROOT_OWNER, Copy, Fetch, FilesStep, Operation, Write

_OWNER = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]*)?")
_URL = re.compile(r"https?://", re.IGNORECASE)
_GIT = re.compile(r"(?:git|ssh)://|git@|https?://[^#?]+\.git(?:[#?]|$)", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
_ALLOWED = {
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "checksum", "unpack", "exclude"),
}
_SWITCHES = ("link", "parents", "unpack")
_HEREDOC_MODE = 0o644
_MOST_EXCLUDES = 100


@dataclass(frozen=True, slots=True)
class _Flags:
    """`unpack` is None where nothing is said: local archives are unpacked then, fetched ones are not."""

    stage: int | None = None
    owner: str | None = None
    mode: Mode | None = None
    sha256: str = ""
    unpack: bool | None = None
    parents: bool = False
    exclude: tuple[str, ...] = ()


def copy_step(scope: Scope, at: Instruction) -> FilesStep:
    flags = _flags(scope, at)
    paths = [scope.text(at, word) for word in _words(scope, at)]
    if not paths or (len(paths) < 2 and not at.heredocs):
        scope.wrong(at, f"`{at.title}` names no destination", "write `COPY a b`")
    sources, dest = paths[:-1], destination(scope.state.workdir, paths[-1])
    if len(sources) + len(at.heredocs) > 1 and not dest.endswith("/"):
        reason = f"several sources go to {dest}, which is no folder"
        scope.wrong(at, reason, f"write {dest}/, with a slash at its end")
    operations = [*_copies(scope, at, sources, dest, flags)]
    operations += [_write(scope, at, heredoc, dest, flags) for heredoc in at.heredocs]
    return FilesStep(at.text, tuple(operations), scope.file.name, at.line)


def destination(workdir: str, path: str) -> str:
    """An absolute path; the "/" at its end, which makes it a folder, is kept."""
    folder = path.endswith(("/", "/.")) or path in (".", "..")
    whole = "/" + posixpath.normpath(posixpath.join(workdir, path)).lstrip("/")
    return whole + "/" if folder and whole != "/" else whole


def _words(scope: Scope, at: Instruction) -> list[str]:
    as_list = json_list(at.words)
    return list(as_list) if as_list is not None else scope.words(at, at.words)


# --- flags
def _flags(scope: Scope, at: Instruction) -> _Flags:
    given: dict[str, str] = {}
    exclude: list[str] = []
    for key, value in at.flags:
        if key not in _ALLOWED[at.keyword]:
            allowed = ", ".join(f"--{name}" for name in _ALLOWED[at.keyword])
            scope.wrong(at, f"{at.keyword} --{key[:40]} is not offered", f"use {allowed}")
        if key == "exclude":
            exclude.append(scope.text(at, value))
        else:
            given[key] = value if key == "from" else scope.text(at, value)
    if len(exclude) > _MOST_EXCLUDES:
        scope.wrong(at, f"--exclude is there more than {_MOST_EXCLUDES} times", "use a pattern")
    switches = {key: _switch(scope, at, key, given[key]) for key in _SWITCHES if key in given}
    stage = _stage(scope, at, given["from"]) if "from" in given else None
    return _Flags(
        stage=stage,
        owner=_owner(scope, at, given.get("chown")) or (ROOT_OWNER if stage is None else None),
        mode=_mode(scope, at, given["chmod"]) if "chmod" in given else None,
        sha256=_checksum(scope, at, given["checksum"]) if "checksum" in given else "",
        unpack=switches.get("unpack"),
        parents=switches.get("parents", False),
        exclude=tuple(exclude),
    )


def _switch(scope: Scope, at: Instruction, key: str, value: str) -> bool:
    if value.lower() not in ("", "true", "false", "1", "0"):
        scope.wrong(at, f"--{key}={value[:40]} is neither true nor false", f"write --{key}")
    return value.lower() not in ("false", "0")


def _stage(scope: Scope, at: Instruction, reference: str) -> int:
    if "$" in reference:
        hint = "give the stage a name: `FROM $IMAGE AS other` and then --from=other"
        scope.wrong(at, f"--from={reference[:60]} cannot hold a variable", hint)
    return scope.stage_of(at, reference)


def _owner(scope: Scope, at: Instruction, owner: str | None) -> str | None:
    if owner is not None and not _OWNER.fullmatch(owner):
        scope.wrong(at, f"--chown={owner[:60]} is not `user[:group]`")
    return owner


def _mode(scope: Scope, at: Instruction, text: str) -> Mode:
    mode = parse_mode(text)
    if mode is None:
        scope.wrong(at, f"--chmod={text[:60]} is no mode", "write it like 755 or u=rwX,go=rX")
    return mode


def _checksum(scope: Scope, at: Instruction, text: str) -> str:
    match = _SHA256.fullmatch(text)
    if match is None:
        scope.wrong(at, f"--checksum={text[:80]} is no SHA-256", "write sha256: and 64 hexadecimal digits")
    return match[1].lower()


# --- sources
def _copies(scope: Scope, at: Instruction, sources: list[str], dest: str, flags: _Flags) -> list[Operation]:
    """Fetches where there are addresses among the sources; the others in one operation."""
    addresses = [source for source in sources if at.keyword == "ADD" and _is_address(scope, at, source)]
    local = tuple(_source(scope, at, source, flags) for source in sources if source not in addresses)
    found: list[Operation] = [_fetch(scope, at, url, dest, flags) for url in addresses]
    if flags.sha256 and len(addresses) != 1:
        scope.wrong(
            at, "--checksum is for one address", "write an ADD for each, and none for files of the source"
        )
    if local:
        unpack = at.keyword == "ADD" and flags.unpack is not False
        found.append(
            Copy(local, dest, flags.stage, flags.owner, flags.mode, flags.exclude, flags.parents, unpack)
        )
    return found


def _is_address(scope: Scope, at: Instruction, source: str) -> bool:
    if _GIT.match(source):
        hint = "put the files into the source, or clone in a RUN"
        scope.wrong(at, f"ADD of a Git repository is refused ({source[:80]})", hint)
    if _OTHER_SCHEME.match(source) and not _URL.match(source):
        scope.wrong(at, f"ADD of {source[:80]} is refused: only http and https are fetched", "use one of them")
    return bool(_URL.match(source))


def _fetch(scope: Scope, at: Instruction, url: str, dest: str, flags: _Flags) -> Fetch:
    if not flags.sha256:
        _demand_checksum(scope, at, url)
    if any(char.isspace() or not char.isprintable() for char in url) or len(url) > 2000:
        scope.wrong(at, "ADD: the address holds a space or is too long", "write it with %20")
    name = unquote(posixpath.basename(_parts(scope, at, url).path))
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        if dest.endswith("/"):
            scope.wrong(at, f"ADD of {url[:80]}: it ends with no file's name", f"write {dest}name")
        name = posixpath.basename(dest)
    owner = flags.owner or ROOT_OWNER
    return Fetch(url, flags.sha256, dest, name, owner, flags.mode, unpack=flags.unpack is True)


def _demand_checksum(scope: Scope, at: Instruction, url: str) -> NoReturn:
    """What would be refused with one, too, is told first."""
    hint = f"write `ADD --checksum=sha256:… {url[:80]}` with what `curl -L {url[:80]} | sha256sum` prints"
    obstacle = out_of_reach(_parts(scope, at, url))
    if obstacle:
        instead = "put the file into the source, and COPY it"
        hint = f"{instead}; or, if it has, {hint}" if obstacle is OPENED else instead
        scope.wrong(at, f"ADD of {url[:80]} is refused: that is {obstacle}", hint)
    reason = f"ADD of {url[:80]} is refused without a checksum: nobody could say what was built"
    scope.wrong(at, reason, hint)


def _parts(scope: Scope, at: Instruction, url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        scope.wrong(at, f"ADD of {url[:80]}: {error}", "check the address")


def _source(scope: Scope, at: Instruction, source: str, flags: _Flags) -> str:
    if "\0" in source:
        scope.wrong(at, f"{at.keyword} names a path with NUL", "remove it")
    pivot, mark, rest = source.partition("/./") if flags.parents else (source, "", "")
    paths = [posixpath.normpath(part.lstrip("/") or ".") for part in (pivot, rest)]
    if any(path == ".." or path.startswith("../") for path in paths):
        reason = f"{at.keyword} {source[:80]} leads out of the folder that it copies from"
        scope.wrong(at, reason, "name a path inside it")
    return f"{paths[0]}/./{paths[1]}" if mark and rest.strip("/") else paths[0]


def _write(scope: Scope, at: Instruction, heredoc: Heredoc, dest: str, flags: _Flags) -> Write:
    if heredoc.descriptor not in ("", "0"):
        scope.wrong(at, f"{at.keyword} {heredoc.descriptor[:20]}<<{heredoc.name}: files have no descriptors")
    path = f"{dest}{heredoc.name}" if dest.endswith("/") else dest
    content = scope.heredoc(at, heredoc.content) if heredoc.expand else heredoc.content
    return Write(path, content, flags.owner or ROOT_OWNER, changed(_HEREDOC_MODE, flags.mode))
