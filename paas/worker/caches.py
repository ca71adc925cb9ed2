"""Cache folders of builds: on the tenant's own disk, so no other tenant reads or poisons them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

from paas.builder import demand_wanted
from paas.builder.plan import CacheMount

LOOK_SECONDS = 0.1
_EVERYBODY = 0o777  # whichever user of the tenant's a step runs as
_OWNERS = 0o755
Caches = dict[str, Path]


@contextmanager
def held(folder: Path, mounts: Iterable[CacheMount], cancelled: Callable[[], bool]) -> Iterator[Caches]:
    """The folder of each cache by its name, below `folder`, for as long as a step has them."""
    with ExitStack() as stack:
        found: Caches = {}
        # By name, so that two steps which want the same two never wait for each other.
        for mount in sorted(mounts, key=lambda mount: mount.name):
            if mount.name not in found:
                found[mount.name] = stack.enter_context(_held(folder, mount, cancelled))
        yield found


@contextmanager
def _held(folder: Path, mount: CacheMount, cancelled: Callable[[], bool]) -> Iterator[Path]:
    # A Dockerfile may name a cache as it likes: the folder's name is a digest of that.
    name = sha256(mount.name.encode()).hexdigest()[:32]
    if mount.sharing == "shared":
        yield _made(folder / name, mount)
        return
    number = 0
    while True:
        path = _made(folder / (f"{name}-{number}" if number else name), mount)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if _is_mine(fd):
                yield path
                return
        finally:
            os.close(fd)
        if mount.sharing == "private":
            number += 1
        else:
            demand_wanted(cancelled)
            time.sleep(LOOK_SECONDS)


def _is_mine(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _made(path: Path, mount: CacheMount) -> Path:
    try:
        path.mkdir()
    except FileExistsError:
        return path
    if mount.owner is not None:
        os.chown(path, *mount.owner)
    mode = _EVERYBODY if mount.owner is None else _OWNERS
    path.chmod(mode if mount.mode is None else mount.mode)
    return path
