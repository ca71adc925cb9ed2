"""Procfile, as Heroku reads it: `<process type>: <command>`, one a line; `release:` runs before a release.

A line that is none is passed over, as there; a note for the build log says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from paas.errors import BadInput

NAME = "Procfile"
MAX_COMMAND = 4096
PROCESS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
PROCESS_HINT = "begin with a letter or digit, then use at most 39 letters, digits, `-` and `_`"
_ENTRY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*:(.*)")
_SPECIAL = ("web", "release")
_MOST_NOTES = 10
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
    """Process type -> command, in the order of the file, `release` apart. `notes` are for the build log."""

    commands: dict[str, str] = field(default_factory=dict)
    release: str = ""
    notes: tuple[str, ...] = ()


def shell(command: str) -> tuple[str, ...]:
    """The arguments that run `command` in the container's own shell, so that `$PORT` is expanded there.

    Debian's sh would stay and die of the stop signal in the command's place: a simple command replaces it.
    """
    simple = _SIMPLE.fullmatch(command)
    if simple and not _BUILT_IN.fullmatch(simple["program"]):
        command = f"{simple['variables']}exec {simple['rest']}"
    return ("/bin/sh", "-c", command)


def parse(text: str) -> Procfile:
    """Raises BadInput with the line of an entry that cannot be right."""
    commands: dict[str, str] = {}
    ignored: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line)
        if not entry or not entry[2].strip():
            what = f"{line.strip()[:60]!r} is ignored, being no `<process type>: <command>`"
            ignored.append(f"{NAME}, line {number}: {what}")
            continue
        name = entry[1]
        _check(line, name, number)
        if name in commands:
            raise _wrong(number, f"process type {name!r} is there twice", "keep one of the two lines")
        commands[name] = entry[2].strip()
    notes = (*_shortened(ignored), *_almost_special(commands))
    release = commands.pop("release", "")
    return Procfile(commands, release, notes)


def _check(line: str, name: str, number: int) -> None:
    if len(line) > MAX_COMMAND:
        reason = f"{len(line):,} characters long, at most {MAX_COMMAND:,} are allowed"
        raise _wrong(number, reason, "move the command to a script in your source and name the script here")
    control = _CONTROL.search(line)
    if control:
        raise _wrong(number, f"holds the control character {control[0]!r}", "remove it")
    if not PROCESS_NAME.fullmatch(name):
        raise _wrong(number, f"{name[:60]!r} is not a process type", PROCESS_HINT)


def _shortened(notes: list[str]) -> list[str]:
    more = len(notes) - _MOST_NOTES
    return notes if more <= 0 else [*notes[:_MOST_NOTES], f"{NAME}: {more:,} more lines are ignored"]


def _almost_special(commands: dict[str, str]) -> list[str]:
    """Case counts, and a `Web:` that gets no traffic is hard to see."""
    return [
        f"{NAME}: {name!r} is a process type like any other, being not written {name.lower()!r}"
        for name in commands
        if name.lower() in _SPECIAL and name not in _SPECIAL
    ]


def _wrong(number: int, reason: str, hint: str) -> BadInput:
    return BadInput(f"{NAME}, line {number}: {reason}", hint=hint, details={"file": NAME, "line": number})
