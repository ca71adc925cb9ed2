"""Images on their way in: what an archive or a folder holds, copied to a folder of ours before it is looked at.

A blob is whole and has the digest that was asked for, before anything of it is unpacked; its file is then moved
into the store, or gone with the folder. Nothing that is read here is trusted.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from paas.errors import BadInput
from paas.images.budget import Budget
from paas.images.compression import Meter, decompressed
from paas.images.names import shown, source_parts
from paas.images.tar_reader import TarReader
from paas.linux import written_through
from paas.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, openat2
from paas.oci.digest import of_bytes
from paas.oci.index import blob_path

MAX_DOCUMENT = 4 * 1024 * 1024  # what registries accept as a manifest
_CHUNK = 1024 * 1024
_BLOBS = "blobs/sha256/"
_HOPS = 8
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)


@dataclass(frozen=True, slots=True)
class Staged:
    """A file of ours with this content."""

    path: Path
    digest: str
    size: int


class Source(Protocol):
    """Files by the names that a layout or an archive gives them. BadInput for all that is wrong with one."""

    def document(self, name: str) -> bytes | None:
        """A small file, or None when there is none."""

    def file(self, name: str, size: int | None = None) -> Staged:
        """A file of any length (`size`, if that is known), staged."""


def blob(source: Source, digest: str, size: int) -> Staged:
    staged = source.file(blob_path(digest), size)
    if staged.digest != digest:
        raise BadInput(f"blob {digest} has the digest {staged.digest}", hint="fetch it again")
    if staged.size != size:
        raise BadInput(f"blob {digest} has {staged.size:,} bytes, not {size:,}", hint="fetch it again")
    return staged


def blob_document(source: Source, digest: str, size: int) -> bytes:
    """A manifest, an index or a config."""
    data = source.document(blob_path(digest))
    if data is None:
        raise BadInput(f"it has no blob {digest}", hint="fetch or export it again")
    if of_bytes(data) != digest or len(data) != size:
        raise BadInput(f"blob {digest} has the digest {of_bytes(data)} and {len(data):,} bytes, not {size:,}")
    return data


@dataclass(slots=True)
class FolderSource:
    """A layout in a folder that anybody may have written: no link in it is followed."""

    root: int
    staging: Path
    budget: Budget
    count: int = 0

    def document(self, name: str) -> bytes | None:
        file = self._open(name)
        if file is None:
            return None
        with file:
            return _document(file, name)

    def file(self, name: str, size: int | None = None) -> Staged:
        file = self._open(name)
        if file is None:
            raise _missing(name)
        with file:
            found = os.fstat(file.fileno()).st_size
            if size is not None and found != size:
                raise BadInput(f"{name} has {found:,} bytes, not {size:,}", hint="fetch it again")
            self.count += 1
            return stage(
                iter(lambda: file.read(_CHUNK), b""), self.staging / str(self.count), name, self.budget
            )

    def _open(self, name: str) -> BinaryIO | None:
        """A blob is looked for in the root folder, too, where skopeo's `dir:` has it under its digits."""
        return self._open_at(name) or (self._open_at(name[len(_BLOBS) :]) if name.startswith(_BLOBS) else None)

    def _open_at(self, name: str) -> BinaryIO | None:
        flags = os.O_RDONLY | os.O_NONBLOCK
        resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
        try:
            fd = openat2(self.root, "/".join(source_parts(name)), flags, resolve)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return None
        return cast(BinaryIO, os.fdopen(fd, "rb"))


@contextmanager
def folder_source(folder: Path, staging: Path, budget: Budget) -> Iterator[FolderSource]:
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield FolderSource(root, staging, budget)
    finally:
        os.close(root)


@dataclass(slots=True)
class ArchiveSource:
    """A tar archive's files, in whichever order they came. Links (older `docker save`s have them) are names
    for other files of the archive, never paths of this machine."""

    files: dict[str, Staged] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def document(self, name: str) -> bytes | None:
        staged = self._find(name)
        if staged is None:
            return None
        with staged.path.open("rb") as file:
            return _document(cast(BinaryIO, file), name)

    def file(self, name: str, size: int | None = None) -> Staged:
        staged = self._find(name)
        if staged is None:
            raise _missing(name)
        return staged

    def _find(self, name: str) -> Staged | None:
        key = "/".join(source_parts(name))
        for _ in range(_HOPS):
            if key not in self.links:
                return self.files.get(key)
            key = self.links[key]
        raise BadInput(f"archive entry {shown(name)!r} is a link to itself")


def archive_source(stream: BinaryIO, staging: Path, budget: Budget) -> ArchiveSource:
    """Read an archive (plain, gzip or zstd) to its end."""
    found = ArchiveSource()
    with decompressed(stream) as plain:
        reader = TarReader(Meter(plain, Budget(budget.max_bytes, what="archive", look=budget.look)).buffered())
        for number, entry in enumerate(reader):
            parts = source_parts(entry.path)
            key = "/".join(parts)
            if entry.kind == "file":
                budget.add_file(entry.path)
                found.links.pop(key, None)
                staged = stage(reader.chunks(), staging / str(number), entry.path, budget)
                # Docker's own kind of archive names no blob by its digest; here it can be asked for by it.
                found.files |= {key: staged, blob_path(staged.digest): staged}
            elif entry.kind in ("symlink", "link"):
                budget.add_file(entry.path)
                base = posixpath.dirname(key) if entry.kind == "symlink" else ""
                found.files.pop(key, None)
                found.links[key] = _link(entry.path, posixpath.join(base, entry.target))
            elif entry.kind != "dir":
                raise BadInput(f"archive entry {shown(entry.path)!r} is a device or a named pipe")
    return found


def _link(name: str, target: str) -> str:
    path = posixpath.normpath(target)
    if path.startswith(("/", "../")) or path == "..":
        raise BadInput(f"archive entry {shown(name)!r} is a link to {shown(target)!r}, outside the archive")
    return "/".join(source_parts(path))


def stage(chunks: Iterable[bytes | memoryview], path: Path, name: str, budget: Budget) -> Staged:
    """Copy to a file of ours; whoever keeps it sees to it that it is on disk."""
    digest, size = hashlib.sha256(), 0
    with path.open("xb", buffering=0) as file:
        for chunk in chunks:
            budget.add_bytes(len(chunk), name)
            digest.update(chunk)
            size += len(chunk)
            while chunk:
                chunk = chunk[file.write(chunk) :]  # noqa: PLW2901 - what is left of it
            written_through.wait(file.fileno())
    return Staged(path, f"sha256:{digest.hexdigest()}", size)


def _document(file: io.IOBase | BinaryIO, name: str) -> bytes:
    data: bytes = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise BadInput(f"{shown(name)} has more than {MAX_DOCUMENT:,} bytes: no registry takes such an image")
    return data


def _missing(name: str) -> BadInput:
    return BadInput(f"it has no file {shown(name)!r}", hint="fetch or export it again")
