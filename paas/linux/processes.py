"""Processes of the control plane, known by what supervisord gave them on their way."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
NAME = "SUPERVISOR_PROCESS_NAME="


def of_installation(state: Path) -> dict[int, str]:
    """Process -> the program that it is of, of those that a supervisord started for this state folder."""
    mark, found = f"BERTH_STATE={state}", dict[int, str]()
    for process in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            variables = os.fsdecode((process / "environ").read_bytes()).split("\0")
            names = [v.removeprefix(NAME) for v in variables if v.startswith(NAME)]
            if mark in variables and names:
                found[int(process.name)] = names[0]
    return found
