"""An upload becomes a file named by its source's id: written beside, renamed, then synced. No row names it yet,
and one commit of the file system's journal holds it and its name. One that is here is not kept again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from paas.errors import TooLarge
from tenants.checks import bad_field
from tenants.ids import new_id
from tenants.releases.models import Source

# What stands where in an archive: RFC 1952, PKWARE's APPNOTE, POSIX's pax.
MAGIC = {
    Source.Kind.TAR_GZ: (0, b"\x1f\x8b"),
    Source.Kind.ZIP: (0, b"PK\x03\x04"),
    Source.Kind.TAR: (257, b"ustar"),
}
_START = 512


@dataclass(frozen=True, slots=True)
class Received:
    """An upload that is here whole, in a file that nobody knows of yet."""

    digest: str  # "sha256:…"
    size: int
    file: BinaryIO
    path: Path

    def keep(self, source_id: str) -> None:
        """Durable under the source's name. OSError: then it is gone."""
        path: Path = settings.PATHS.sources / source_id
        try:
            self.path.rename(path)
            os.fsync(self.file.fileno())
            _sync_folder(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def kind_of(start: bytes) -> Source.Kind | None:
    """The archive's kind by its first bytes."""
    return next((kind for kind, (at, magic) in MAGIC.items() if start.startswith(magic, at)), None)


@contextmanager
def received(kind: Source.Kind, chunks: Iterable[bytes]) -> Iterator[Received]:
    """Stream `chunks` to a file that is gone when the block ends, unless it was kept. BadInput, TooLarge."""
    folder: Path = settings.PATHS.sources
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{new_id()}.part"
    try:
        with part.open("xb") as file:
            os.fchmod(file.fileno(), 0o640)
            digest, size = _copy(file, kind, chunks)
            file.flush()
            yield Received(digest, size, file, part)
    finally:
        part.unlink(missing_ok=True)


def is_kept(source_id: str) -> bool:
    """Asked under the app's lock, under which a worker removes old ones, it stays so for a build made there."""
    path: Path = settings.PATHS.sources / source_id
    return path.exists()


def remove(source_id: str) -> None:
    (settings.PATHS.sources / source_id).unlink(missing_ok=True)


def _copy(file: BinaryIO, kind: Source.Kind, chunks: Iterable[bytes]) -> tuple[str, int]:
    """Its digest and size."""
    digest, size, start = hashlib.sha256(), 0, b""
    for chunk in chunks:
        size += len(chunk)
        if size > settings.SOURCE_MAX_BYTES:
            raise too_large()
        start = (start + chunk)[:_START] if len(start) < _START else start
        digest.update(chunk)
        file.write(chunk)
    if kind_of(start) != kind:
        what = f"is not a {kind.value} archive" if size else "is empty"
        raise bad_field(
            "source", f"the upload {what}", hint="Send a .tar.gz, a .tar or a .zip of the app's folder."
        )
    return f"sha256:{digest.hexdigest()}", size


def too_large() -> TooLarge:
    limit = settings.SOURCE_MAX_BYTES // (1024 * 1024)
    return TooLarge(
        f"the source is larger than {limit} MiB",
        hint="Leave out what the build can fetch (node_modules, .venv) in .gitignore or .dockerignore.",
        details={"field": "source", "limit": settings.SOURCE_MAX_BYTES},
    )


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
