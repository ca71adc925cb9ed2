"""Removing folders whose content tenants made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from paas.linux.command import run

REMOVE_SECONDS = 1800.0  # a full disk of small files
FEW = 200  # files and folders: no more than 200 of these lie in each other


def remove(folder: Path) -> None:
    """Remove it with all that is in it, where nobody writes any more; absent is fine. Links are never followed.

    Many by rm(1): shutil.rmtree calls itself for each folder on the way down and keeps it open, and a tenant
    makes a tree of a million folders, one in the other, in a second. Few without: to start a program takes
    longer. Errors: CommandFailed, OSError.
    """
    if _are_few(folder):
        shutil.rmtree(folder)
    elif os.path.lexists(folder):
        run(["rm", "--recursive", "--force", "--one-file-system", "--", folder], timeout=REMOVE_SECONDS)


def _are_few(folder: Path) -> bool:
    """Of a folder on one file system, all of which can be named; False for anything else."""
    try:
        return _count_is_few(folder)
    except OSError:  # twenty names of 255 bytes in each other are longer than any path (PATH_MAX)
        return False


def _count_is_few(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    found, device, waiting = 0, folder.stat().st_dev, [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                found += 1
                is_folder = entry.is_dir(follow_symlinks=False)
                if found > FEW or (is_folder and entry.stat(follow_symlinks=False).st_dev != device):
                    return False
                if is_folder:
                    waiting.append(entry.path)
    return True
