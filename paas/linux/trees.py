"""Removing folders whose content tenants made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from paas.linux.command import run

REMOVE_SECONDS = 1800.0  # a full disk of small files
FEW = 200  # files and folders: no more than 200 of these lie in each other
SMALL_FILES, SMALL_BYTES = 500, 4 * 1024 * 1024


def remove(folder: Path) -> None:
    """Remove it with all that is in it, where nobody writes any more; absent is fine. Links are never followed.

    Many by rm(1): shutil.rmtree calls itself for each folder on the way down and keeps it open, and a tenant
    makes a tree of a million folders, one in the other, in a second. Few without: to start a program takes
    longer. Errors: CommandFailed, OSError.
    """
    if _is_within(folder, FEW):
        shutil.rmtree(folder)
    elif os.path.lexists(folder):
        run(["rm", "--recursive", "--force", "--one-file-system", "--", folder], timeout=REMOVE_SECONDS)


def is_small(folder: Path) -> bool:
    """Whether it takes no time to read all of it, or to copy it; itself found out in no time."""
    return _is_within(folder, SMALL_FILES, SMALL_BYTES)


def _is_within(folder: Path, most: int, most_bytes: int | None = None) -> bool:
    """Of a folder on one file system, all of which can be named; False for anything else."""
    try:
        return _counts_within(folder, most, most_bytes)
    except OSError:  # twenty names of 255 bytes in each other are longer than any path (PATH_MAX)
        return False


def _counts_within(folder: Path, most: int, most_bytes: int | None) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    found, size, device, waiting = 0, 0, folder.stat().st_dev, [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                found += 1
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder or most_bytes is not None:
                    status = entry.stat(follow_symlinks=False)
                    size += status.st_size
                    if status.st_dev != device:
                        return False
                if found > most or (most_bytes is not None and size > most_bytes):
                    return False
                if is_folder:
                    waiting.append(entry.path)
    return True
