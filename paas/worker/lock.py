"""Who works on what: an exclusive file lock, which the kernel drops when its holder dies (flock(2))."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.conf import settings


@contextmanager
def held(name: str, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock `name`; yields whether it was had. With `wait`, blocks until it is."""
    settings.PATHS.locks.mkdir(parents=True, exist_ok=True)
    fd = os.open(settings.PATHS.locks / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
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


def is_free(name: str) -> bool:
    """Whether nobody holds `name` at this moment."""
    with held(name) as had:
        return had
