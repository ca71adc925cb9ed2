"""Signals as an image's StopSignal names them (image-spec, config.md): pure."""

from __future__ import annotations

import re
import signal

from paas.errors import BadInput

MOST = 64  # _NSIG
_REAL_TIME = re.compile(r"SIGRT(MIN|MAX)([+-])(\d{1,2})")


def signal_number(name: str) -> int:
    """By name, with or without SIG and in any case, or by number. Errors: BadInput for what is no signal."""
    text = name.upper() if name.upper().startswith("SIG") or name.isdecimal() else f"SIG{name.upper()}"
    number = int(text) if text.isascii() and text.isdecimal() else _named(text)
    if not 0 < number <= MOST:
        raise BadInput(f"no such signal: {name[:40]}", hint="use a name such as SIGTERM or SIGINT")
    return number


def _named(text: str) -> int:
    """0 for a name that no signal has."""
    if relative := _REAL_TIME.fullmatch(text):
        base = signal.SIGRTMIN if relative[1] == "MIN" else signal.SIGRTMAX
        number = base + int(relative[2] + relative[3])
        return number if signal.SIGRTMIN <= number <= signal.SIGRTMAX else 0
    known = signal.Signals.__members__
    return int(known[text]) if text in known else 0
