"""A store of each test's own, and a way to compare trees: every name with all that a layer keeps of it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.images import Store
from tests.images.tools import docker, podman

__all__ = ["docker", "podman", "store", "upper"]
Seen = dict[str, tuple[object, ...]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield Store(tmp_path / "store")
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    folder = tmp_path / "upper"
    folder.mkdir()
    return folder


def seen(root: Path) -> Seen:
    """Path -> kind and mode, ids, content or target or device, whole seconds, attributes, first hard link."""
    found: Seen = {}
    first: dict[int, str] = {}
    for folder, folders, files in os.walk(root):
        for name in sorted(folders + files):
            path = Path(folder, name)
            key = str(path.relative_to(root))
            status = path.lstat()
            linked = first.setdefault(status.st_ino, key) if stat.S_ISREG(status.st_mode) else ""
            found[key] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                _content(path, status),
                linked,
                _attributes(path),
            )
            if not stat.S_ISCHR(status.st_mode):  # a whiteout has no time in a tar
                found[key] += (status.st_mtime_ns // 10**9,)
    return found


def _content(path: Path, status: os.stat_result) -> object:
    if stat.S_ISREG(status.st_mode):
        return path.read_bytes()
    return str(path.readlink()) if stat.S_ISLNK(status.st_mode) else status.st_rdev


def _attributes(path: Path) -> dict[str, bytes]:
    return {
        key: os.getxattr(path, key, follow_symlinks=False)
        for key in os.listxattr(path, follow_symlinks=False)
        if key in ("trusted.overlay.opaque", "security.capability")
    }


def open_descriptors() -> set[str]:
    """What is open, less the descriptor that looks; to see that nothing is left open."""
    return {str(p.readlink()) for p in Path("/proc/self/fd").iterdir() if p.exists()}
