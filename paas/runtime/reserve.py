"""A little of each tenant's disk that is kept back, so that on a full one a command can start and delete files.

ext4's own reserve would not do: overlayfs writes as who mounted it, the host's root, so that apps used it up.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from paas.images.durable import sync_file_system
from paas.linux import trees

# Twice the files and four times the bytes that the start of a container asks for.
FILES, BYTES_EACH = 64, 16 * 1024
_NAME, _PART = "reserve", "reserve.new"


def is_due(disk: Path) -> bool:
    """Whether there is none and room for one: what a command gives back goes here before an app gets it."""
    if (disk / _NAME).exists():
        return False
    found = os.statvfs(disk)
    return found.f_favail > FILES and found.f_bavail * found.f_frsize > FILES * BYTES_EACH


def keep(disk: Path) -> None:
    """All of it or nothing: an app that runs may be quicker."""
    fresh = disk / _PART
    trees.remove(fresh)  # of a worker that was killed
    try:
        fresh.mkdir(mode=0o700)
        for number in range(FILES):
            with (fresh / str(number)).open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, BYTES_EACH)
        fresh.rename(disk / _NAME)
    except OSError:
        trees.remove(fresh)


def spend(disk: Path) -> None:
    with suppress(OSError):  # there is none, or part of one beside it
        (disk / _NAME).rename(disk / _PART)  # what is left of it when we are killed is none
    trees.remove(disk / _PART)
    sync_file_system(disk)  # ext4 gives freed blocks out again when its journal has that they are free
