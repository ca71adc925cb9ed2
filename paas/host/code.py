"""The copy of the clone that the processes run.

A clone may lie where `berth` cannot read (/root), and editing it must not change a running platform.
"""

from __future__ import annotations

import compileall
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from paas.paths import CODE_DIGEST

PARTS = ("manage.py", "paas", "tenants", "berth_cli", "templates", "static", "examples")
_SKIPPED = ("__pycache__", "node_modules", ".berth")  # the last: what `berth create` leaves in an example


def digest(clone: Path) -> str:
    """Of the names and contents of everything that is copied."""
    total = hashlib.sha256()
    for path in _files(clone):
        total.update(f"{path.relative_to(clone)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def install(clone: Path, target: Path) -> str:
    """Make `target` equal to the clone's parts, whole or not at all; its digest."""
    wanted = digest(clone)
    marker = target / CODE_DIGEST
    if marker.exists() and marker.read_text() == wanted:
        return wanted
    new, old = target.with_suffix(".new"), target.with_suffix(".old")
    _remove(new, old)
    new.mkdir(mode=0o755)
    for part in PARTS:
        _copy(clone / part, new / part)
    # Here, as root: the processes that run as `berth` may not write beside the code.
    compileall.compile_dir(new, quiet=2, stripdir=str(new), prependdir=str(target))
    (new / CODE_DIGEST).write_text(wanted)
    if target.exists():
        target.rename(old)
    new.rename(target)
    _remove(old)
    return wanted


def _files(clone: Path) -> Iterator[Path]:
    for part in PARTS:
        root = clone / part
        found = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        yield from (p for p in found if not set(_SKIPPED) & set(p.relative_to(clone).parts))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_SKIPPED, "*.pyc"))
    elif source.exists():
        shutil.copy2(source, target)


def _remove(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
