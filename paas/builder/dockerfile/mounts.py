"""RUN --mount=type=bind|cache|tmpfs|secret. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

from paas.builder.dockerfile.parser import Instruction
from paas.builder.dockerfile.scope import Scope
from paas.builder.dockerfile.stages import split_options
from paas.builder.plan import CacheMount, RunMount, SecretMount, StageMount
from paas.specs import MIB, TmpfsMount

_TARGETS = ("target", "dst", "destination")
_ALIASES = {"src": "source", "readonly": "ro", "readwrite": "rw", **dict.fromkeys(_TARGETS, "target")}
_SECRETS = "/run/secrets"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SIZE = re.compile(r"(\d{1,12})(k|m|g)?i?b?", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "k": 1024, "m": MIB, "g": 1024 * MIB}
_LAST_ID = 65535


def mount(scope: Scope, at: Instruction, value: str) -> RunMount:
    given: dict[str, str] = {}
    for part in split_options(value):
        key, equals, text = part.partition("=")
        key = _ALIASES.get(key.strip().lower(), key.strip().lower())
        given[key] = text if key == "from" else scope.text(at, text) if equals else "true"
    kind = given.pop("type", "bind")
    if kind not in _KINDS:
        known = ", ".join(_KINDS)
        reason = f"RUN --mount=type={kind[:40]} is refused: a build step sees nothing of the host"
        scope.wrong(at, reason, f"these are offered: {known}")
    allowed, make = _KINDS[kind]
    for key in given:
        if key not in allowed:
            reason = f"RUN --mount=type={kind}: {key[:40]!r} is not offered"
            scope.wrong(at, reason, f"use {', '.join(allowed)}")
    return make(_Options(scope, at, kind, given))


@dataclass(frozen=True, slots=True)
class _Options:
    scope: Scope
    at: Instruction
    kind: str
    given: dict[str, str]

    def wrong(self, key: str, wanted: str) -> NoReturn:
        shown = self.given.get(key, "")[:60]
        self.scope.wrong(self.at, f"RUN --mount=type={self.kind}: {key}={shown} {wanted}", "see the reference")

    def switch(self, key: str) -> bool:
        value = self.given.get(key, "false").lower()
        if value not in ("true", "false", "1", "0"):
            self.wrong(key, "is neither true nor false")
        return value in ("true", "1")

    def target(self, default: str = "") -> str:
        """Absolute; one that is relative is below the working folder."""
        given = self.given.get("target", default)
        path = "/" + posixpath.normpath(posixpath.join(self.scope.state.workdir, given)).lstrip("/")
        if not given or "\0" in path or path == "/":
            self.wrong("target", "must name a folder or file, and not /")
        return path

    def whole(self, key: str, base: int, most: int) -> int | None:
        text = self.given.get(key)
        if text is None:
            return None
        digits = "[0-7]{1,5}" if base == 8 else "[0-9]{1,5}"
        if not re.fullmatch(digits, text) or int(text, base) > most:
            self.wrong(key, f"is not a number up to {oct(most)[2:] if base == 8 else most}")
        return int(text, base)


def _bind(options: _Options) -> StageMount:
    scope, at = options.scope, options.at
    source = posixpath.normpath("/" + options.given.get("source", ""))
    if ".." in options.given.get("source", "").split("/") or "\0" in source:
        options.wrong("source", "leads out of what is mounted")
    reference = options.given.get("from", "")
    if "$" in reference:
        options.wrong("from", "cannot hold a variable")
    stage = scope.stage_of(at, reference) if reference else scope.context_of(at, source.strip("/") or ".")
    return StageMount(options.target(), stage, "/" + source.lstrip("/"), options.switch("rw"))


def _cache(options: _Options) -> CacheMount:
    target = options.target()
    name = options.given.get("id") or target
    sharing = options.given.get("sharing", "shared")
    if sharing not in ("shared", "private", "locked"):
        options.wrong("sharing", "is none of shared, private, locked")
    if len(name) > 512 or not name.isprintable():
        options.wrong("id", "is too long or cannot be printed")
    uid, gid = options.whole("uid", 10, _LAST_ID), options.whole("gid", 10, _LAST_ID)
    return CacheMount(
        target,
        name,
        read_only=options.switch("ro"),
        sharing=cast(Literal["shared", "private", "locked"], sharing),
        owner=None if uid is gid is None else (uid or 0, gid or 0),
        mode=options.whole("mode", 8, 0o1777),
    )


def _tmpfs(options: _Options) -> TmpfsMount:
    text = options.given.get("size")
    size = _SIZE.fullmatch(text) if text is not None else None
    if text is not None and (size is None or not int(size[1])):
        options.wrong("size", "is no size: write it like 64m")
    return TmpfsMount(options.target(), int(size[1]) * _UNITS[(size[2] or "").lower()] if size else None)


def _secret(options: _Options) -> SecretMount:
    name = options.given.get("id") or posixpath.basename(options.given.get("target", ""))
    if not _VARIABLE.fullmatch(name):
        options.wrong("id", "is no config var's name, which has letters, digits and `_`")
    env = options.given.get("env", "")
    if "env" in options.given and not _VARIABLE.fullmatch(env):
        options.wrong("env", "is no variable's name")
    mode = options.whole("mode", 8, 0o777)
    return SecretMount(
        name,
        target="" if env and "target" not in options.given else options.target(f"{_SECRETS}/{name}"),
        env=env,
        required=options.switch("required"),
        mode=0o400 if mode is None else mode,
        uid=options.whole("uid", 10, _LAST_ID) or 0,
        gid=options.whole("gid", 10, _LAST_ID) or 0,
    )


_KINDS: dict[str, tuple[Sequence[str], Callable[[_Options], RunMount]]] = {
    "bind": (("target", "source", "from", "rw", "ro"), _bind),
    "cache": (("target", "id", "ro", "sharing", "mode", "uid", "gid"), _cache),
    "tmpfs": (("target", "size"), _tmpfs),
    "secret": (("id", "target", "env", "required", "mode", "uid", "gid"), _secret),
}
