"""Processes: of the control plane, known by what supervisord gave them on their way; and the end of any."""

from __future__ import annotations

import ctypes
import os
import select
import time
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
NAME = "SUPERVISOR_PROCESS_NAME="
_ARGUMENTS, _ENVIRONMENT = 45, 47  # after the program's name in /proc/PID/stat: arg_start, env_start (proc(5))
_FLAGS, _PF_KTHREAD = 6, 0x00200000  # include/linux/sched.h


def of_installation(state: Path) -> dict[int, str]:
    """Process -> the program that it is of, of those that a supervisord started for this state folder."""
    mark, found = f"BERTH_STATE={state}", dict[int, str]()
    for process in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            variables = os.fsdecode((process / "environ").read_bytes()).split("\0")
            name = next((v.removeprefix(NAME).strip() for v in variables if v.startswith(NAME)), "")
            if mark in variables and name:
                found[int(process.name)] = name
    return found


def room_for_a_name() -> dict[str, str]:
    """What a process must have in its environment whose children call themselves by `rename`."""
    return {NAME.rstrip("="): " " * 32}


def rename(name: str, title: str) -> None:
    """Have /proc show this process as if it had been executed as the program `name`, by the command `title`.

    What /proc shows is the process's own memory, as execve(2) left it: it is written over, no further.
    """
    words = (PROC / "self" / "stat").read_text().rpartition(") ")[2].split()
    _overwrite(int(words[_ARGUMENTS]), int(words[_ARGUMENTS + 1]), title)
    start = int(words[_ENVIRONMENT])
    variables = (PROC / "self" / "environ").read_bytes()
    at = variables.find(NAME.encode()) + len(NAME)
    _overwrite(start + at, start + variables.index(b"\0", at), name)


def wait_for_end(pid: int, end: float) -> bool:
    """Wait for a process, a child of ours or not (pidfd_open(2)); False when `end` (time.monotonic) comes
    first."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(max(0.0, end - time.monotonic()) * 1000))
    finally:
        os.close(fd)


def is_of_the_kernel(pid: int) -> bool:
    """Whether it is a thread that has no memory of its own and takes no signal. One that has ended is not."""
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()  # a process may call itself by any bytes
    except OSError:
        return False
    return bool(int(stat.rpartition(b") ")[2].split()[_FLAGS]) & _PF_KTHREAD)


def _overwrite(start: int, end: int, text: str) -> None:
    size = end - start
    ctypes.memmove(start, os.fsencode(text)[: size - 1].ljust(size, b"\0"), size)
