"""Archives of an app's source, or of its image, as the API takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from berth_cli.errors import CliError

CHUNK = 256 * 1024
GZIP = "application/gzip"
# What stands where in an archive: RFC 1952, PKWARE's APPNOTE, POSIX's pax.
MAGIC = {GZIP: (0, b"\x1f\x8b"), "application/zip": (0, b"PK\x03\x04"), "application/x-tar": (257, b"ustar")}
_START = 512


@dataclass(frozen=True, slots=True)
class Archive:
    media_type: str
    size: int  # bytes
    digest: str  # "sha256:…"


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, Archive]]:
    """An archive that somebody made, from its start. Its kind is told by its first bytes, whatever its name."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}", "Name another file.") from None
    with file:
        start = file.read(_START)
        kind = next((kind for kind, (at, magic) in MAGIC.items() if start.startswith(magic, at)), None)
        if kind is None:
            raise CliError(
                f"{path} is not a .tar.gz, a .tar or a .zip",
                "Name the app's folder, or an archive of it or of its image: berth deploy PATH",
            )
        yield file, measured(file, kind)


def measured(file: BinaryIO, media_type: str) -> Archive:
    """Reads all of it, and leaves the file at its start."""
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    size = file.tell()
    file.seek(0)
    return Archive(media_type, size, f"sha256:{digest.hexdigest()}")
