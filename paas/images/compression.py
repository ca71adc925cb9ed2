"""Finding out how a stream is compressed, and reading it uncompressed while it is counted and hashed."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from paas.errors import BadInput, CommandFailed
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


def plain_digest(stream: BinaryIO, budget: Budget) -> str:
    """The digest of what the stream unpacks to, without unpacking it anywhere."""
    with decompressed(stream) as plain:
        meter = Meter(plain, budget)
        meter.drain()
    return meter.digest


@contextmanager
def decompressed(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The stream as it was before gzip or zstd, which its first bytes tell."""
    peekable = io.BufferedReader(cast(io.RawIOBase, _Raw(stream)), 1024 * 1024)
    magic = peekable.peek(4)[:4]
    if magic.startswith(_GZIP):
        yield cast(BinaryIO, gzip.GzipFile(fileobj=peekable))
    elif magic == _ZSTD:
        # A small archive may ask for a huge window: 32 MiB is what every level but the "ultra" ones needs.
        with _judged(), output_of(["zstd", "-dcq", "--memory=32MiB"], feed=cast(BinaryIO, peekable)) as plain:
            yield plain
    else:
        yield cast(BinaryIO, peekable)


@contextmanager
def _judged() -> Iterator[None]:
    """zstd exits with 1 for what is wrong with its input; a signal is this machine's affair."""
    try:
        yield
    except CommandFailed as error:
        if error.status != 1:
            raise
        reason = error.stderr.strip().partition("\n")[0].rpartition(" : ")[2].strip()
        raise BadInput(f"zstd archive cannot be read: {reason}", hint="pack or upload it again") from error


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
