"""Who works on what: an exclusive file lock, which the kernel drops when its holder dies (flock(2))."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.conf import settings

LOOK_SECONDS = 0.1


@contextmanager
def held(name: str, *, wait: bool = False, shared: bool = False) -> Iterator[bool]:
    """Hold the lock `name`; yields whether it was had. With `wait`, blocks until it is. Those who hold it
    `shared` do so together, and keep out whoever wants it alone."""
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    settings.PATHS.locks.mkdir(parents=True, exist_ok=True)
    fd = os.open(settings.PATHS.locks / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, how)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


@contextmanager
def one_of(name: str, places: int) -> Iterator[bool]:
    """Hold one of so many locks of the name; yields whether one was free."""
    with ExitStack() as places_tried:
        yield any(places_tried.enter_context(held(f"{name}-{place}")) for place in range(places))


@contextmanager
def turn(name: str, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold the lock `name`; its file is gone with its last holder. `waiting` is called again and again while
    somebody else has it, and may raise."""
    path = settings.PATHS.locks / name
    path.parent.mkdir(parents=True, exist_ok=True)
    while (fd := _taken(path)) is None:
        waiting()
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is ours: see _taken
        os.close(fd)


def _taken(path: Path) -> int | None:
    """The locked file's descriptor, if nobody had it. One whose holder has removed it is nobody's any more, and
    the next to come makes another: to hold that old one would be to hold nothing."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), path.stat()):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None


def is_free(name: str) -> bool:
    """Whether nobody holds `name` at this moment."""
    with held(name) as had:
        return had
