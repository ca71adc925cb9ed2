"""The folders of an installation, with the least that each process needs of each.

`store`, `tenants` and `work` are root's alone and closed: files in them carry ids from 0, setuid bits among
them, which only the id-mapped views make harmless. The run folder lets others pass (o+x), because a
container's first process reaches its root file system under mapped ids.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paas.host.installation import Installation
from paas.paths import Paths

ROOT = 0


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path
    uid: int
    gid: int
    mode: int


def plan(installation: Installation, uid: int, gid: int) -> tuple[Folder, ...]:
    """Every folder, parents first. `uid` and `gid` are those of the `berth` account."""
    paths, logs = installation.paths, installation.paths.state / "logs"
    return (
        Folder(paths.state, ROOT, ROOT, 0o711),
        Folder(paths.secrets, ROOT, gid, 0o750),
        Folder(paths.database.parent, uid, gid, 0o750),
        Folder(paths.sources, uid, gid, 0o750),
        Folder(paths.exports, ROOT, gid, 0o750),
        Folder(paths.state / "upload", uid, gid, 0o700),
        Folder(paths.state / "valkey", uid, gid, 0o700),
        Folder(paths.state / "caddy", uid, gid, 0o750),
        Folder(paths.state / "static", ROOT, ROOT, 0o755),
        Folder(paths.routes, ROOT, ROOT, 0o755),
        Folder(paths.store, ROOT, ROOT, 0o700),
        Folder(paths.store_names, ROOT, gid, 0o750),
        Folder(paths.tenants, ROOT, ROOT, 0o700),
        Folder(paths.work, ROOT, ROOT, 0o700),
        Folder(logs, ROOT, gid, 0o750),
        # Setgid: what the worker writes, the web process reads as a member of the group.
        *(Folder(logs / name, ROOT, gid, 0o2750) for name in ("builds", "containers", "releases")),
        Folder(installation.process_logs, ROOT, gid, 0o750),
        Folder(paths.run, ROOT, ROOT, 0o711),
        Folder(paths.valkey_socket.parent, uid, gid, 0o750),
        Folder(installation.supervisor_socket.parent, ROOT, ROOT, 0o700),
    )


def bring_names_out(paths: Paths) -> None:
    """An older Berth kept them in the store, where the web process cannot read them."""
    old = paths.store / "tags"
    if old.is_dir():
        for file in old.iterdir():
            file.chmod(0o644)
            shutil.move(file, paths.store_names / file.name)
        old.rmdir()


def make(folders: Iterable[Folder]) -> None:
    """Make what is missing and put right what differs. Idempotent."""
    for folder in folders:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.path.stat()
        if (found.st_uid, found.st_gid) != (folder.uid, folder.gid):
            os.chown(folder.path, folder.uid, folder.gid)
        if found.st_mode & 0o7777 != folder.mode:
            folder.path.chmod(folder.mode)
