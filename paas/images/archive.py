"""Unpacking an uploaded source: nothing it holds can reach outside the folder, or fill the disk."""

from __future__ import annotations

import gzip
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal, cast

from paas.errors import Conflict
from paas.images import entries
from paas.images.budget import Budget, go_on
from paas.images.compression import Meter
from paas.images.names import source_parts
from paas.images.tar_reader import TarReader
from paas.images.tree import Chunks, Tree
from paas.images.zip_reader import ZipReader
from paas.oci.tar import TarEntry

Kind = Literal["tar.gz", "tar", "zip"]
_FROM_MACOS = "__MACOSX"  # Finder's own notes about files, beside the files


@dataclass(frozen=True, slots=True)
class UnpackReport:
    """`files` counts folders as well; `stripped` is the single top-level folder that was taken off, if any."""

    files: int
    bytes: int
    stripped: str | None


def unpack(
    archive: Path,
    kind: Kind,
    target: Path,
    *,
    max_bytes: int,
    max_files: int,
    look: Callable[[], object] = go_on,
) -> UnpackReport:
    """Unpack into `target`, a new or empty folder; on any error it is empty again. `look` is called again and
    again meanwhile, and may raise.

    Limits are on what comes out: bytes of content, and files and folders together. Owners and setuid bits
    in the archive mean nothing. A single top-level folder is taken off. Symbolic links stay what they are,
    wherever they lead: whoever reads the folder must not follow one out of it (as paas.builder.tree).
    Errors: BadInput, OSError.
    """
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise Conflict(f"cannot unpack into {target}: it holds something already", hint="give an empty folder")
    budget = Budget(max_bytes, max_files, look=look)
    try:
        _fill(target, archive, kind, budget)
        stripped = _strip(target)
    except BaseException:
        _empty(target)
        raise
    return UnpackReport(budget.files, budget.bytes, stripped)


def _fill(target: Path, archive: Path, kind: Kind, budget: Budget) -> None:
    seen = Budget(max_files=budget.max_files)  # also those that leave no file of their own
    with archive.open("rb") as stream, Tree(target, budget, keep_ids=False) as tree:
        reader = ZipReader(stream) if kind == "zip" else _tar_reader(stream, kind, budget)
        for entry in reader:
            seen.add_file(entry.path)
            _put(tree, entry, reader.chunks(), budget)
        tree.finish()


def _tar_reader(stream: BinaryIO, kind: Kind, budget: Budget) -> TarReader:
    plain = stream if kind == "tar" else cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    return TarReader(Meter(plain, entries.whole_stream(budget, budget.look)).buffered())


def _put(tree: Tree, entry: TarEntry, chunks: Chunks, budget: Budget) -> None:
    parts = source_parts(entry.path)
    if parts[:1] != (_FROM_MACOS,):
        entries.put(tree, parts, _without_privilege(entry), chunks, budget)


def _without_privilege(entry: TarEntry) -> TarEntry:
    """No setuid, setgid or sticky bit, no attributes; readable by its owner whatever the archive says. Not more
    than that: who unpacks is root, and may write into a closed folder."""
    needed = 0o500 if entry.kind == "dir" else 0o400
    return replace(entry, mode=entry.mode & 0o777 | needed, xattrs=())


def _strip(target: Path) -> str | None:
    """Take off a single top-level folder: its content moves up."""
    top = list(target.iterdir())
    if len(top) != 1 or top[0].is_symlink() or not top[0].is_dir():
        return None
    name = top[0].name
    aside = top[0].rename(target / f".{secrets.token_hex(16)}")  # its own child may have its name
    for child in list(aside.iterdir()):
        child.rename(target / child.name)
    aside.rmdir()
    return name


def _empty(target: Path) -> None:
    for path in target.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
