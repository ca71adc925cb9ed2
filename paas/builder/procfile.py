"""Procfile, as Heroku reads it: `<process type>: <command>`, one a line; `release:` runs before a release."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from paas.errors import BadInput

NAME = "Procfile"
MAX_COMMAND = 4096
PROCESS_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
# One program with its arguments, behind `NAME=value` words: nothing joins, groups or redirects commands.
_SIMPLE = re.compile(
    r"(?P<variables>(?:[A-Za-z_][A-Za-z0-9_]*=[^\s\"'\\`$;&|()<>]*\s+)*)"
    r"(?P<rest>(?P<program>[A-Za-z0-9_./-]+)(?:\s[^;&|()<>`\n]*)?)"
)
_BUILT_IN = re.compile(
    r"\.|alias|break|case|cd|command|continue|do|echo|eval|exec|exit|export|for|if|local|printf|pwd|read|readonly"
    r"|return|set|shift|source|test|time|times|trap|type|ulimit|umask|unset|until|wait|while"
)


@dataclass(frozen=True, slots=True)
class Procfile:
    """Process type -> command, in the order of the file, `release` apart."""

    commands: dict[str, str] = field(default_factory=dict)
    release: str = ""


def shell(command: str) -> tuple[str, ...]:
    """The arguments that run `command` in the container's own shell, so that `$PORT` is expanded there.

    Debian's sh would stay and die of the stop signal in the command's place: a simple command replaces it.
    """
    simple = _SIMPLE.fullmatch(command)
    if simple and not _BUILT_IN.fullmatch(simple["program"]):
        command = f"{simple['variables']}exec {simple['rest']}"
    return ("/bin/sh", "-c", command)


def parse(text: str) -> Procfile:
    """Raises BadInput with the line of anything that is not a process type and its command."""
    commands: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, command = _entry(line, number)
        if name in commands:
            raise _wrong(number, f"process type {name!r} is there twice", "keep one of the two lines")
        commands[name] = command
    release = commands.pop("release", "")
    return Procfile(commands, release)


def _entry(line: str, number: int) -> tuple[str, str]:
    if len(line) > MAX_COMMAND:
        reason = f"{len(line):,} characters long, at most {MAX_COMMAND:,} are allowed"
        raise _wrong(number, reason, "move the command to a script in your source and name the script here")
    control = _CONTROL.search(line)
    if control:
        raise _wrong(number, f"holds the control character {control[0]!r}", "remove it")
    name, colon, command = line.partition(":")
    name, command = name.strip(), command.strip()
    if not colon or not command:
        raise _wrong(
            number, f"{line.strip()[:60]!r} is not `<process type>: <command>`", "write `web: <command>`"
        )
    if not PROCESS_NAME.fullmatch(name):
        raise _wrong(
            number,
            f"{name[:60]!r} is not a process type",
            "begin with a lower-case letter, then use at most 39 lower-case letters, digits, `-` and `_`"
            + (f"; {name.lower()!r} would do" if PROCESS_NAME.fullmatch(name.lower()) else ""),
        )
    return name, command


def _wrong(number: int, reason: str, hint: str) -> BadInput:
    return BadInput(f"{NAME}, line {number}: {reason}", hint=hint, details={"file": NAME, "line": number})
