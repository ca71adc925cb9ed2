"""Finding out how a stream is compressed, and reading it uncompressed while it is counted and hashed."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from paas.errors import BadInput
from paas.images.budget import Budget
from paas.images.pipe import output_of

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class Meter(io.RawIOBase):
    """Reads through to `stream`: hashes and counts what passes, and stops at the budget."""

    def __init__(self, stream: BinaryIO, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._hash = hashlib.sha256()
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BadInput(f"archive is damaged: {error}", hint="pack or upload it again") from error
        buffer[: len(data)] = data
        self._hash.update(data)
        self.bytes += len(data)
        self._budget.add_bytes(len(data), "the stream")
        return len(data)

    def buffered(self) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(self, 1024 * 1024))

    def drain(self) -> None:
        """Read to the end, past what ends a tar archive: the digest is that of the whole stream."""
        buffer = memoryview(bytearray(1024 * 1024))
        while self.readinto(buffer):
            pass

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


@contextmanager
def decompressed(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The stream as it was before gzip or zstd, which its first bytes tell."""
    peekable = io.BufferedReader(cast(io.RawIOBase, _Raw(stream)), 1024 * 1024)
    magic = peekable.peek(4)[:4]
    if magic.startswith(_GZIP):
        yield cast(BinaryIO, gzip.GzipFile(fileobj=peekable))
    elif magic == _ZSTD:
        # Refuses windows above 128 MiB by itself, so a small archive cannot ask for a huge one.
        with output_of(["zstd", "-dcq"], feed=cast(BinaryIO, peekable)) as plain:
            yield plain
    else:
        yield cast(BinaryIO, peekable)


class _Raw(io.RawIOBase):
    """Any object with `read`, as the raw stream that BufferedReader wants."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
