"""Instructions that set something and put no files: ENV, ARG, LABEL, USER, EXPOSE, CMD and so on. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

from paas.builder.dockerfile.health import healthcheck
from paas.builder.dockerfile.parser import Instruction, json_list
from paas.builder.dockerfile.scope import Scope
from paas.builder.dockerfile.stages import parse_arg
from paas.builder.plan import ROOT_OWNER, FilesStep, Folder
from paas.errors import BadInput
from paas.oci.signals import signal_number

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE | re.ASCII)
_MOST_PORTS = 1000
_MOST_VOLUMES = 100
_MOST_TEXT = 512 * 1024


def env(scope: Scope, at: Instruction) -> None:
    scope.state.env |= _pairs(scope, at)
    _limit(scope, at, scope.state.variables)


def label(scope: Scope, at: Instruction) -> None:
    scope.state.labels |= _pairs(scope, at)
    _limit(scope, at, scope.state.labels)


def _limit(scope: Scope, at: Instruction, pairs: Mapping[str, str]) -> None:
    """A process gets no more than some MiB of variables, and an image's config should stay small."""
    if sum(len(name) + len(value) for name, value in pairs.items()) > _MOST_TEXT:
        scope.wrong(at, f"all values together have more than {_MOST_TEXT:,} characters", "put them into a file")


def _pairs(scope: Scope, at: Instruction) -> dict[str, str]:
    parts = scope.words(at)
    if len(parts) >= 2 and "=" not in parts[0]:  # the old form, `ENV name any words`
        parts = [f"{parts[0]}={at.value[len(parts[0]) :].strip()}"]
    pairs = {}
    for part in parts:
        name, equals, value = part.partition("=")
        name = scope.text(at, name)
        if not equals or not name or "\0" in name:
            scope.wrong(at, f"{part[:60]!r} is not `name=value`", "add the `=`")
        pairs[name] = scope.text(at, value)
    if not pairs:
        scope.wrong(at, f"{at.keyword} names nothing", "write `name=value`")
    return pairs


def arg(scope: Scope, at: Instruction) -> None:
    for name, default in parse_arg(scope.file, at, scope.state.variables):
        value = scope.arguments.get(name, default)
        if value is None:
            value = scope.shared.get(name)
        if value is not None:
            scope.state.args[name] = value
    _limit(scope, at, scope.state.variables)


def workdir(scope: Scope, at: Instruction) -> None:
    state, path = scope.state, scope.text(at, at.value)
    if not path or "\0" in path:
        scope.wrong(at, "WORKDIR names no folder", "write `WORKDIR /app`")
    state.workdir = "/" + posixpath.normpath(posixpath.join(state.workdir, path)).lstrip("/")
    if state.workdir != "/":
        folder = Folder(state.workdir, state.user or ROOT_OWNER)
        state.steps.append(FilesStep(at.text, (folder,), scope.file.name, at.line))


def expose(scope: Scope, at: Instruction) -> None:
    found = [port for word in scope.words(at) for port in _ports(scope, at, scope.text(at, word))]
    scope.state.ports = tuple(dict.fromkeys((*scope.state.ports, *found)))
    if len(scope.state.ports) > _MOST_PORTS:
        scope.wrong(at, f"EXPOSE names more than {_MOST_PORTS:,} ports", "name those that the app listens on")


def _ports(scope: Scope, at: Instruction, text: str) -> list[str]:
    match = _PORT.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not match or not 0 < first <= last < 65536:
        scope.wrong(at, f"EXPOSE {text[:40]} is not a port", "write 1 to 65535")
    protocol = (match[3] or "tcp").lower()
    return [f"{number}/{protocol}" for number in range(first, last + 1)]


def volume(scope: Scope, at: Instruction) -> None:
    as_list = json_list(at.value)
    paths = [scope.text(at, word) for word in (scope.words(at) if as_list is None else as_list)]
    if not paths or not all(path.strip("/") and "\0" not in path for path in paths):
        scope.wrong(at, "VOLUME names no folder", "write `VOLUME /data`")
    absolute = (
        "/" + posixpath.normpath(posixpath.join(scope.state.workdir, path)).lstrip("/") for path in paths
    )
    scope.state.volumes = tuple(dict.fromkeys((*scope.state.volumes, *absolute)))
    if len(scope.state.volumes) > _MOST_VOLUMES:
        scope.wrong(at, f"VOLUME names more than {_MOST_VOLUMES} folders", "name a folder above them")
    scope.note(
        f"{scope.file.name}, line {at.line}: VOLUME {' '.join(paths)[:80]} is kept in the image's config; "
        "what the app writes there goes with its container"
    )


def user(scope: Scope, at: Instruction) -> None:
    text = scope.text(at, at.value)
    if not _USER.fullmatch(text):
        scope.wrong(at, f"USER {text[:60]!r} is not `user[:group]`", "write `USER app`")
    scope.state.user = text


def cmd(scope: Scope, at: Instruction) -> None:
    scope.state.cmd, scope.state.cmd_is_own = _command(scope, at), True


def entrypoint(scope: Scope, at: Instruction) -> None:
    # As in Docker, a CMD that came with the base image was meant for another entry point.
    state = scope.state
    state.entrypoint = _command(scope, at)
    state.cmd = state.cmd if state.cmd_is_own else ()


def _command(scope: Scope, at: Instruction) -> tuple[str, ...]:
    exec_form = json_list(at.value)
    if exec_form is not None:
        return exec_form
    return (*scope.state.shell, at.value) if at.value else ()


def shell(scope: Scope, at: Instruction) -> None:
    found = json_list(at.value)
    if not found:
        scope.wrong(at, "SHELL is not a list", 'write `SHELL ["/bin/bash", "-c"]`')
    scope.state.own_shell = found


def stopsignal(scope: Scope, at: Instruction) -> None:
    text = scope.text(at, at.value).upper()
    try:
        signal_number(text)
    except BadInput as error:
        scope.wrong(at, f"STOPSIGNAL: {error.summary}", error.hint)
    scope.state.stop_signal = text if text.isdecimal() or text.startswith("SIG") else f"SIG{text}"


def health(scope: Scope, at: Instruction) -> None:
    scope.state.healthcheck = healthcheck(scope, at)


def maintainer(scope: Scope, at: Instruction) -> None:
    scope.state.author = at.value


INSTRUCTIONS: dict[str, Callable[[Scope, Instruction], None]] = {
    "ENV": env,
    "LABEL": label,
    "ARG": arg,
    "WORKDIR": workdir,
    "EXPOSE": expose,
    "VOLUME": volume,
    "USER": user,
    "CMD": cmd,
    "ENTRYPOINT": entrypoint,
    "SHELL": shell,
    "STOPSIGNAL": stopsignal,
    "HEALTHCHECK": health,
    "MAINTAINER": maintainer,
}
