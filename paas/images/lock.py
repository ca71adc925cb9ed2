"""Who changes the store: many may add at once, one alone removes (flock(2))."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def adding(root: Path) -> Iterator[None]:
    """Held for the moment in which an object is put in place, or found there to be relied on."""
    with _locked(root, fcntl.LOCK_SH):
        yield


@contextmanager
def removing(root: Path) -> Iterator[None]:
    with _locked(root, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(root: Path, kind: int) -> Iterator[None]:
    fd = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, kind)
        yield
    finally:
        os.close(fd)
