"""RUN -> its arguments and caches. Pure."""

from __future__ import annotations

import re

from paas.builder.dockerfile.errors import wrong
from paas.builder.dockerfile.parser import Dockerfile, Instruction, json_list, without_heredocs

_CACHE_KEYS = ("type", "target", "dst", "destination", "id", "sharing", "mode", "uid", "gid")
_CACHE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def run_args(file: Dockerfile, instruction: Instruction, shell: tuple[str, ...]) -> tuple[str, ...]:
    exec_form = json_list(instruction.value)
    if exec_form:
        return exec_form
    if not instruction.value:
        wrong(file.name, instruction.line, "RUN names no command", "write `RUN <command>`")
    if not instruction.heredocs:
        return (*shell, instruction.value)
    first = instruction.heredocs[0]
    if without_heredocs(instruction.value):
        tail = "".join(f"{doc.content}{doc.name}\n" for doc in instruction.heredocs)
        return (*shell, f"{instruction.value}\n{tail}")
    if first.content.startswith("#!"):
        hint = f"write `RUN <interpreter> <<{first.name}`"
        wrong(file.name, instruction.line, "RUN of a here-document that begins with `#!` is not offered", hint)
    return (*shell, first.content)


def run_caches(file: Dockerfile, instruction: Instruction) -> tuple[tuple[str, str], ...]:
    """(container path, cache name) of each `--mount=type=cache`; any other flag is refused by name."""
    caches = []
    for key, value in instruction.flags:
        if key != "mount":
            reason = f"RUN --{key}={value[:40]} is refused: every build step runs inside the same fences"
            wrong(file.name, instruction.line, reason, "remove the flag")
        caches.append(_cache(file, instruction, value))
    return tuple(caches)


def _cache(file: Dockerfile, instruction: Instruction, value: str) -> tuple[str, str]:
    options = dict(part.partition("=")[::2] for part in value.split(","))
    kind = options.get("type", "bind")
    if kind != "cache":
        reason = f"RUN --mount=type={kind[:40]} is refused: a build step sees no folder but its own"
        wrong(file.name, instruction.line, reason, "only type=cache is offered")
    for option in options:
        if option not in _CACHE_KEYS:
            wrong(
                file.name, instruction.line, f"RUN --mount: {option[:40]!r} is not offered", "use target and id"
            )
    target = options.get("target") or options.get("dst") or options.get("destination") or ""
    if not target.startswith("/") or ".." in target.split("/"):
        wrong(file.name, instruction.line, "RUN --mount=type=cache needs target=/an/absolute/path")
    name = options.get("id") or target.strip("/").replace("/", "-")
    if not _CACHE_NAME.fullmatch(name):
        wrong(
            file.name,
            instruction.line,
            f"RUN --mount: id {name[:40]!r} is not a name",
            "use letters and digits",
        )
    return target, name
