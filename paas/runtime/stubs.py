"""Mount points that an image lacks: the runtime makes them in the container's upper folder, where a build
would take them for something that its step made. So it would the folders that hold them: overlayfs copies a
folder up before it makes something in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePosixPath

from paas.linux import syscalls
from paas.runtime.inside import KERNELS_PLACES, Inside

Holder = tuple[str, int, int, int]  # path, mode, uid, gid
_OPAQUE = "trusted.overlay.opaque"


def missing(targets: Iterable[str], inside: Inside) -> tuple[str, ...]:
    """Which of `targets` and their parent folders are not there, parents first; links on the way resolved."""
    wanted: dict[str, None] = {}
    for target in (*KERNELS_PLACES, *targets):
        path = inside.leads_to(target)
        wanted.update(dict.fromkeys(str(p) for p in (*reversed(path.parents), path)))
    return tuple(path for path in wanted if inside.stat(path) is None)


def holders(stubs: Iterable[str], inside: Inside, uid_base: int) -> tuple[Holder, ...]:
    """The folders above `stubs` that are there, as they are; ids as the container sees them."""
    above = {str(parent) for stub in stubs for parent in PurePosixPath(stub).parents if parent.name}
    found = ((path, inside.stat(path)) for path in sorted(above))
    return tuple(
        (path, stat.S_IMODE(status.st_mode), status.st_uid - uid_base, status.st_gid - uid_base)
        for path, status in found
        if status is not None
    )


def remove(upper: Path, stubs: Iterable[str], holders: Iterable[Holder] = ()) -> None:
    """Take those that are still empty out of a changeset, children first, and then folders that only held them.
    Links are never followed."""
    known = {holder[0]: holder[1:] for holder in holders}
    root = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in _deepest_first((*stubs, *known)):
            held = known.get(str(path))
            _at(root, path, _remove if held is None else partial(_let_go, status=held))
    finally:
        os.close(root)


def untouched(upper: Path, stubs: Iterable[str], holders: Iterable[Holder] = ()) -> tuple[str, ...]:
    """Those that are still as the runtime made them ("srv/x"): empty, or with nothing but each other inside. So
    are folders that only hold them, and are otherwise as in the image."""
    statuses = {holder[0]: holder[1:] for holder in holders}
    root = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    found: set[str] = set()
    try:
        for stub in _deepest_first((*stubs, *statuses)):
            look = partial(_holds_only, path=str(stub), known=found, status=statuses.get(str(stub)))
            if _at(root, stub, look):
                found.add(str(stub))
    finally:
        os.close(root)
    return tuple(sorted(path.lstrip("/") for path in found))


def _deepest_first(stubs: Iterable[str]) -> list[PurePosixPath]:
    return [PurePosixPath(stub) for stub in sorted(stubs, reverse=True)]


def _at(root: int, stub: PurePosixPath, look: Callable[[int, str], bool]) -> bool:
    """`look` at a stub by its open parent folder; False where it is no longer what the runtime made."""
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
    try:
        folder = syscalls.openat2(root, str(stub.parent)[1:] or ".", os.O_PATH | os.O_DIRECTORY, resolve)
    except OSError:
        return False
    try:
        return look(folder, stub.name)
    except OSError:  # absent, or with something in it: then it is the step's
        return False
    finally:
        os.close(folder)


def _remove(folder: int, name: str) -> bool:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        os.rmdir(name, dir_fd=folder)
    elif stat.S_ISREG(found.st_mode) and found.st_size == 0:
        os.unlink(name, dir_fd=folder)
    return True


def _let_go(folder: int, name: str, *, status: tuple[int, int, int]) -> bool:
    """Remove a folder that says nothing but what the one below it says."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if _is_as_below(fd, status):
            os.rmdir(name, dir_fd=folder)
    finally:
        os.close(fd)
    return True


def _is_as_below(fd: int, status: tuple[int, int, int]) -> bool:
    found = os.fstat(fd)
    is_the_same = (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == status
    return is_the_same and _OPAQUE not in os.listxattr(fd)


def _holds_only(
    folder: int, name: str, *, path: str, known: set[str], status: tuple[int, int, int] | None
) -> bool:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        return stat.S_ISREG(found.st_mode) and found.st_size == 0
    inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if status is not None and not _is_as_below(inside, status):
            return False
        return all(f"{path}/{child}" in known for child in _names(inside))
    finally:
        os.close(inside)


def _names(folder: int) -> list[str]:
    return os.listdir(folder)
