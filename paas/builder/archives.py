"""Tar archives in a source or from an address: told by their content, unpacked as a hostile one deserves.

The rules are those for uploaded sources (paas.images.archive), except that owners, modes and links count: they
are the image's own affair. Nothing is ever written through a link, of the archive or of the image.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

from paas.builder.destination import Owner
from paas.errors import BadInput, CommandFailed
from paas.images import entries
from paas.images.budget import Budget, go_on
from paas.images.compression import Meter
from paas.images.names import Parts, shown, source_parts
from paas.images.pipe import output_of
from paas.images.tar_reader import TarReader
from paas.images.tree import Chunks, Tree
from paas.oci import tar
from paas.oci.tar import TarEntry

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_XZ_MEMORY = 128 * 1024 * 1024  # an archive may ask for a dictionary of 4 GiB
_CHUNK = 256 * 1024


def is_archive(fd: int) -> bool:
    """Whether the file begins with a tar header, compressed or not. Its position is at the start afterwards."""
    header = b""
    # Damaged, or of no compression at all: a file like any other. zstd fails, too, when its output is closed.
    with suppress(BadInput, CommandFailed), _plain(fd, Budget(entries.READ_AHEAD)) as stream:
        header = stream.read(tar.BLOCK)
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        return len(header) == tar.BLOCK and tar.decode(header) is not None
    except BadInput:
        return False


def unpack(fd: int, folder: int, owner: Owner, budget: Budget, check: Callable[[], object]) -> int:
    """Into the open `folder`; BadInput with the entry's name for one that means harm. Folders that the archive
    only implies belong to `owner`. Gives the time of the newest entry, in seconds.
    """
    whole = entries.whole_stream(budget, go_on)
    seen = Budget(max_files=budget.max_files)  # also those that leave no file of their own
    newest = 0
    try:
        with _plain(fd, whole) as stream, _Folder(folder, owner, budget) as tree:
            reader = TarReader(stream)
            for entry in reader:
                check()
                seen.add_file(entry.path)
                newest = max(newest, entry.mtime)
                _put(tree, entry, reader.chunks(), budget)
            tree.finish()
            while stream.read(_CHUNK):  # to the end, where its checksums are
                check()
    except CommandFailed as error:
        raise _damaged(error.stderr.strip() or "its compression is wrong") from error
    return newest


class _Folder(Tree):
    """A tree that begins at an open folder."""

    def __init__(self, folder: int, owner: Owner, budget: Budget) -> None:
        # The dot makes it the folder itself, not a link to it. A Path would drop it.
        super().__init__(f"/proc/self/fd/{folder}/.", budget, keep_ids=True)
        self._owner = owner

    def _new_folder(self, parent: int, name: str, parts: Parts) -> int:
        fd = super()._new_folder(parent, name, parts)
        os.fchown(fd, *self._owner)
        return fd

    def put_folder(self, parts: Parts, entry: TarEntry) -> int:
        fd = super().put_folder(parts, entry)
        if not parts:  # `./`: the folder that was packed, which says how the one it is unpacked into is to be
            self._describe(fd, entry)
            self._times[parts] = entry.mtime
        return fd


def _put(tree: Tree, entry: TarEntry, chunks: Chunks, budget: Budget) -> None:
    parts = source_parts(entry.path)
    if max(entry.uid, entry.gid) > 65535:
        raise BadInput(
            f"archive entry {shown(entry.path)!r} belongs to an id above 65,535", hint="pack it anew"
        )
    entries.put(tree, parts, entry, chunks, budget)


@contextmanager
def _plain(fd: int, budget: Budget) -> Iterator[BinaryIO]:
    """The file from its start, uncompressed and counted."""
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(fd, "rb", closefd=False) as file, _decompressed(file) as plain:
        yield Meter(plain, budget).buffered()


@contextmanager
def _decompressed(file: BinaryIO) -> Iterator[BinaryIO]:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(_GZIP):
        yield cast(BinaryIO, gzip.GzipFile(fileobj=file))
    elif magic.startswith(_BZIP2):
        yield cast(BinaryIO, _Decoded(file, bz2.BZ2Decompressor))
    elif magic == _XZ:
        yield cast(BinaryIO, _Decoded(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)))
    elif magic.startswith(_ZSTD):
        # zstd refuses windows above 128 MiB by itself.
        with output_of(["zstd", "-dcq"], feed=file) as plain:
            yield plain
    else:
        yield file


class _Decoded(io.RawIOBase):
    """A stream through a decompressor with bounded memory; several compressed streams in a row are one."""

    def __init__(self, file: BinaryIO, make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> None:
        self._file, self._make, self._decoder = file, make, make()
        self._more = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            while True:
                if self._decoder.eof and not self._next_stream():
                    return b""
                if self._decoder.needs_input and not self._more:
                    self._more = self._file.read(_CHUNK)
                    if not self._more:
                        raise EOFError("it ends too early")
                data, self._more = self._decoder.decompress(self._more, size), b""
                if data:
                    return data
        except (EOFError, OSError, lzma.LZMAError) as error:
            raise _damaged(str(error)) from error

    def _next_stream(self) -> bool:
        """False at the end of the file. Zeros between and behind streams are padding."""
        rest = self._decoder.unused_data
        while not rest.lstrip(b"\0"):
            if not (rest := self._file.read(_CHUNK)):
                return False
        self._decoder, self._more = self._make(), rest.lstrip(b"\0")
        return True


def _damaged(reason: str) -> BadInput:
    return BadInput(f"archive is damaged: {reason}", hint="pack it again")
