"""Writes that are there in full after a power cut, or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from paas.errors import HostProblem, Refused

_FULL = (errno.ENOSPC, errno.EDQUOT)
_libc = ctypes.CDLL(None, use_errno=True)
TEMPORARY = ".new-"  # begins a name that no reader looks at


def temporary_name() -> str:
    return f"{TEMPORARY}{secrets.token_hex(8)}"


def write_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put a file in place at once: readers see the old one, or all of the new one."""
    _put(path, data, synced=True, mode=mode)
    sync_folder(path.parent)


def write_files(files: Mapping[Path, bytes]) -> None:
    """Each of them in place at once, one after the other; one wait for all names in a folder."""
    for path, data in files.items():
        _put(path, data, synced=True)
    for folder in {path.parent for path in files}:
        sync_folder(folder)


def write_lightly(path: Path, data: bytes) -> None:
    """The same without waiting for the disk: a power cut may leave the old file, the new or an empty one."""
    _put(path, data, synced=False)


def _put(path: Path, data: bytes, *, synced: bool, mode: int | None = None) -> None:
    temporary = path.with_name(temporary_name())
    try:
        with temporary.open("xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            if synced:
                os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(path: Path) -> None:
    """syncfs(2): one wait for all files of a layer instead of one for each."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Writes inside that fail for want of room raise HostProblem; it is worth trying again after a prune."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise HostProblem(
            f"no room for {what}: this machine's disk is full",
            hint="ask an administrator to prune unused images or to give the disk more room",
            retryable=True,
        ) from error


@contextmanager
def room_on_tenants_disk(what: str) -> Iterator[None]:
    """The same of what is written to a tenant's own disk: Refused, since nobody else can free any."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Refused(
            f"no room for {what}: the tenant's disk is full",
            hint="free some room on it, or ask an administrator for a larger one",
        ) from error
