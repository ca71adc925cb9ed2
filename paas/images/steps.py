"""`steps/<key>`: which layer a build's step made. The key is the builder's (sha256 hex of all that went in)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.errors import BadInput
from paas.images.durable import write_lightly
from paas.oci.digest import is_digest, is_hex


@dataclass(frozen=True, slots=True)
class Steps:
    folder: Path

    def get(self, key: str) -> str | None:
        """The step's DiffID. Asking makes the step recent."""
        path = self._path(key)
        try:
            diff_id = path.read_text()
            os.utime(path)
        except FileNotFoundError:
            return None
        return diff_id if is_digest(diff_id) else None

    def put(self, key: str, diff_id: str) -> None:
        """A power cut may take it back: then the step is made again, which costs less than a wait for each."""
        path = self._path(key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_lightly(path, diff_id.encode())

    def all(self) -> Iterator[tuple[Path, str, float]]:
        """(file, DiffID, seconds since it was last used) of every step; "" where it is none."""
        now = time.time()
        for path in self.folder.glob("??/*"):
            if is_hex(path.name):
                diff_id = path.read_text()
                yield path, diff_id if is_digest(diff_id) else "", now - path.stat().st_mtime

    def _path(self, key: str) -> Path:
        if not is_hex(key):
            raise BadInput(f"{key[:80]!r} is not a step's key: 64 hexadecimal digits")
        return self.folder / key[:2] / key
