"""Writing a file whole or not at all, with its mode from the first byte on."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str, mode: int = 0o600, gid: int = 0) -> None:
    """Replace `path`, owned by root and `gid`."""
    half = path.with_name(path.name + ".new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fchown(descriptor, 0, gid)
        os.fchmod(descriptor, mode)
        file.flush()
        os.fsync(descriptor)
    half.rename(path)
