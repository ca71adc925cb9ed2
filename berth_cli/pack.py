"""A folder as a .tar.gz that is the same for the same files."""

from __future__ import annotations

import gzip
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from berth_cli.archive import GZIP, Archive, measured
from berth_cli.errors import CliError
from berth_cli.ignore import entries
from berth_cli.installed import Installed

LEVEL = 6  # 9 takes twice the time for a hundredth less


@dataclass(frozen=True, slots=True)
class Packed:
    files: int
    archive: Archive
    installed: Installed


def pack(root: Path, out: BinaryIO) -> Packed:
    """Write the archive to `out`, which can be read from its start afterwards."""
    if not root.is_dir():
        raise CliError(
            f"{root} is neither a folder nor a file", "Name the app's folder or an archive: berth deploy PATH"
        )
    count, installed = 0, Installed(root)
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0, compresslevel=LEVEL) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in entries(root):
            files, content = _add(archive, root / path, str(path))
            installed.see(path, files, content)
            count += files
    if count == 0:
        raise CliError(f"{root} has no files to deploy", "Look at .gitignore and .dockerignore.")
    return Packed(count, measured(out, GZIP), installed)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> tuple[int, int]:
    """By its name, rights and time alone; a second name of a file is a file of its own. Gives files and bytes:
    a folder has none, and its time is left out, which changes with whatever comes and goes in it."""
    found, info = path.lstat(), tarfile.TarInfo(name)
    info.mode, info.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    if stat.S_ISDIR(found.st_mode):
        info.type, info.mtime = tarfile.DIRTYPE, 0
        archive.addfile(info)
        return 0, 0
    if stat.S_ISLNK(found.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
        archive.addfile(info)
    else:
        info.size = found.st_size
        with path.open("rb") as file:
            archive.addfile(info, file)
    return 1, info.size
