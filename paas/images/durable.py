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
_MIB = 1024 * 1024
# What a container's own folders take, overlayfs's among them, and the mount points that are made in them. With
# less overlayfs mounts read-only, and who then fails says something else than that the disk is full.
_LEAST_BYTES, _LEAST_FILES = 256 * 1024, 32
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


def is_full(disk: Path) -> bool:
    """Of a tenant's disk: whether less is left than a container's start takes."""
    try:
        found = os.statvfs(disk)
    except FileNotFoundError:  # it was never made
        return False
    is_short_of_files = bool(found.f_files) and found.f_favail < _LEAST_FILES
    return is_short_of_files or found.f_bavail * found.f_frsize < _LEAST_BYTES


def demand_room_on_tenants_disk(what: str, disk: Path) -> None:
    """Before something begins that could not go on with what is left of a tenant's disk. Errors: Refused."""
    if is_full(disk):
        raise _no_room_on_tenants_disk(what, disk)


@contextmanager
def room_on_tenants_disk(what: str, disk: Path) -> Iterator[None]:
    """Writes to a tenant's own disk that fail for want of room raise Refused: nobody else can free any."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _no_room_on_tenants_disk(what, disk) from error


@contextmanager
def room_for(what: str, *, tenants_disk: Path | None = None) -> Iterator[None]:
    """The same of writes to this machine's disk: HostProblem, and it is worth trying again after a prune. Of
    those that go to a tenant's disk, too, `tenants_disk` is asked whether it is the one that is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        if tenants_disk is not None and (is_full(tenants_disk) or _names(error, tenants_disk)):
            raise _no_room_on_tenants_disk(what, tenants_disk) from error
        raise HostProblem(
            f"no room for {what}: this machine's disk is full",
            hint="ask an administrator to prune unused images or to give the disk more room",
            retryable=True,
        ) from error


def _no_room_on_tenants_disk(what: str, disk: Path) -> Refused:
    found = os.statvfs(disk)
    whole, used = (n * found.f_frsize / _MIB for n in (found.f_blocks, found.f_blocks - found.f_bfree))
    amounts = f"{used:,.1f} of {whole:,.1f} MiB"
    if found.f_files:
        amounts += f", {found.f_files - found.f_ffree:,} of {found.f_files:,} files"
    return Refused(
        f"no room for {what}: the tenant's disk is full ({amounts})",
        hint="scale the tenant's apps to nothing (berth scale web=0): what they wrote outside of volumes, in "
        "/tmp say, goes with their containers, and then a command starts all the same, to delete what is in "
        "volumes (berth run -- rm …); or ask an administrator for a larger disk",
    )


def _names(error: OSError, disk: Path) -> bool:
    return isinstance(error.filename, str) and Path(error.filename).is_relative_to(disk)
