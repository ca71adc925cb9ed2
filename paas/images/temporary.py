"""Folders under a temporary name that their writer holds locked while it lives (flock(2)).

So a proper name means "complete", and a temporary one that nobody locks was left by a crash.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.images.durable import TEMPORARY, temporary_name
from paas.images.lock import adding


@contextmanager
def new_folder(root: Path, parent: Path) -> Iterator[Path]:
    """A folder in `parent`, of the store at `root`; gone afterwards unless it was renamed."""
    path = parent / temporary_name()
    with adding(root):
        path.mkdir(mode=0o755)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        path.chmod(0o755)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def abandoned(parent: Path) -> Iterator[Path]:
    """What writers that are dead left in `parent`. Ask while holding `removing`: a temporary file is only ever
    there while its writer holds `adding`, and a folder is locked."""
    for path in parent.glob(f"{TEMPORARY}*"):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield path
        except BlockingIOError:
            continue
        finally:
            os.close(fd)
