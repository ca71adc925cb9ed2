"""HEALTHCHECK -> what the image's config says. Pure."""

from __future__ import annotations

import re

from paas.builder.dockerfile.parser import Instruction, json_list
from paas.builder.dockerfile.scope import Scope
from paas.oci.config import Healthcheck

_SECOND = 1_000_000_000
_LONGEST = 24 * 3600 * _SECOND
_UNITS = {
    "h": 3600 * _SECOND,
    "m": 60 * _SECOND,
    "s": _SECOND,
    "ms": 1_000_000,
    "us": 1000,
    "µs": 1000,
    "ns": 1,
}
_PART = re.compile(r"(\d{1,12}(?:\.\d{0,9})?)(h|ms|m|s|us|µs|ns)")
_TIMES = {
    "interval": "interval",
    "timeout": "timeout",
    "start-period": "start_period",
    "start-interval": "start_interval",
}


def healthcheck(scope: Scope, at: Instruction) -> Healthcheck:
    kind, rest = (*at.value.split(maxsplit=1), "", "")[:2]
    if kind.upper() == "NONE" and not rest and not at.flags:
        return Healthcheck(("NONE",))
    if kind.upper() != "CMD" or not rest:
        scope.wrong(at, "HEALTHCHECK has no command", "write `HEALTHCHECK CMD <command>` or `HEALTHCHECK NONE`")
    command = json_list(rest)
    if command == ():
        scope.wrong(at, "HEALTHCHECK has an empty command", 'write `HEALTHCHECK CMD ["program"]`')
    test = ("CMD", *command) if command else ("CMD-SHELL", rest)
    return Healthcheck(test, **dict(_number(scope, at, flag, text) for flag, text in at.flags))


def _number(scope: Scope, at: Instruction, flag: str, text: str) -> tuple[str, int]:
    if flag == "retries":
        return flag, _retries(scope, at, text)
    if flag not in _TIMES:
        allowed = ", ".join(f"--{name}" for name in (*_TIMES, "retries"))
        scope.wrong(at, f"HEALTHCHECK --{flag[:40]} is not known", f"use {allowed}")
    return _TIMES[flag], _nanoseconds(scope, at, flag, text)


def _retries(scope: Scope, at: Instruction, text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII):
        scope.wrong(at, f"HEALTHCHECK --retries={text[:40]} is no number", "write 1 or more")
    return int(text)


def _nanoseconds(scope: Scope, at: Instruction, flag: str, text: str) -> int:
    """A time as Go writes it: "1m30s", "500ms"; 0 is "not given"."""
    parts = _PART.findall(text)
    total = round(sum(float(number) * _UNITS[unit] for number, unit in parts))
    readable = text == "0" or (parts and "".join(f"{number}{unit}" for number, unit in parts) == text)
    if not readable or total > _LONGEST or 0 < total < 1_000_000:
        reason = f"HEALTHCHECK --{flag}={text[:40]} is no time from 1ms to 24h"
        scope.wrong(at, reason, "write it like 30s or 1m30s")
    return total
