"""Mount points that an image lacks: the runtime makes them in the container's upper folder, where a build
would take them for something that its step made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from paas.linux import syscalls
from paas.runtime.inside import KERNELS_PLACES, Inside


def missing(targets: Iterable[str], inside: Inside) -> tuple[str, ...]:
    """Which of `targets` and their parent folders are not there, parents first."""
    wanted: dict[str, None] = {}
    for target in (*KERNELS_PLACES, *targets):
        path = PurePosixPath("/") / target
        wanted.update(dict.fromkeys(str(p) for p in (*reversed(path.parents), path)))
    return tuple(path for path in wanted if inside.stat(path) is None)


def remove(upper: Path, stubs: Iterable[str]) -> None:
    """Take those that are still empty out of a changeset, children first. Links are never followed."""
    root = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for stub in sorted(stubs, reverse=True):
            _remove_one(root, PurePosixPath(stub))
    finally:
        os.close(root)


def _remove_one(root: int, stub: PurePosixPath) -> None:
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
    try:
        folder = syscalls.openat2(root, str(stub.parent)[1:] or ".", os.O_PATH | os.O_DIRECTORY, resolve)
    except OSError:  # gone, or no longer what the runtime made: the step's own doing
        return
    try:
        found = os.stat(stub.name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(stub.name, dir_fd=folder)
        elif stat.S_ISREG(found.st_mode) and found.st_size == 0:
            os.unlink(stub.name, dir_fd=folder)
    except OSError:  # absent, or with something in it: then it is the step's
        return
    finally:
        os.close(folder)
