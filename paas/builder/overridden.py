"""Whose word counts where two files say the same thing in different ways: lines for the build log. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from paas.builder import config, manifests, procfile
from paas.builder.config import Config
from paas.builder.manifests import Manifests
from paas.builder.procfile import Procfile, shell

_MOST_LINES = 20
# A file and what it says, which is nothing where that is false.
_Said: TypeAlias = tuple[str, object]


def overridden(settings: Config, processes: Procfile, others: Manifests) -> tuple[str, ...]:
    """One line for each setting that another file's replaced. `settings` are those of the app's stage."""
    found = [line for line in _lines(settings, processes, others) if line]
    more = len(found) - _MOST_LINES
    return tuple(found) if more <= 0 else (*found[:_MOST_LINES], f"{more:,} more settings are replaced so")


def _lines(settings: Config, processes: Procfile, others: Manifests) -> Iterator[str]:
    names = (*settings.processes, *processes.commands, *others.commands, *others.counts)
    for name in dict.fromkeys(names):
        yield _line(f"{name}: ", "command", *_commands(name, settings, processes, others))
        own = settings.processes.get(name)
        count = None if own is None else own.count
        if count is not None and count != others.counts.get(name, count):
            yield f"{name}: {config.NAME}'s count is used, {manifests.APP_JSON}'s is ignored"
    yield _line(
        "release: ",
        "command",
        (config.NAME, settings.release),
        (procfile.NAME, processes.release and shell(processes.release)),
        (manifests.HEROKU_YML, others.release and shell(others.release)),
    )
    for name, value in settings.env:
        if others.env.get(name, value) != value:
            yield f"env {name}: {config.NAME}'s value is used, {others.env_from[name]}'s is ignored"
    own_build = settings.build
    for name, value in own_build.args:
        if others.build_args.get(name, value) != value:
            yield f"build arg {name}: {config.NAME}'s value is used, {manifests.HEROKU_YML}'s is ignored"
    what = "builder" if own_build.builder not in ("", "dockerfile") else own_build.dockerfile and "Dockerfile"
    if what and others.has_dockerfile:
        yield f"{config.NAME}'s {what} is used, {others.dockerfile_from}'s Dockerfile is ignored"


def _commands(name: str, settings: Config, processes: Procfile, others: Manifests) -> Iterator[_Said]:
    own = settings.processes.get(name)
    yield config.NAME, own.command if own else ()
    for file, commands in ((procfile.NAME, processes.commands), (manifests.HEROKU_YML, others.commands)):
        yield file, shell(commands[name]) if name in commands else ()


def _line(begin: str, what: str, *said: _Said) -> str:
    """`said` in the order in which they count; "" where nobody says another thing than the first."""
    file, value = next((one for one in said if one[1]), ("", None))
    losers = [_of(other) for other, theirs in said if other != file and theirs and theirs != value]
    if not losers:
        return ""
    verb = "is" if len(losers) == 1 else "are"
    return f"{begin}{_of(file)} {what} is used, {' and '.join(losers)} {verb} ignored"


def _of(file: str) -> str:
    return f"{'the ' if file == procfile.NAME else ''}{file}'s"
