"""`blobs/sha256/<hex>`: small immutable documents, found by what they hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from paas.errors import HostProblem, NotFound
from paas.images.durable import write_file
from paas.oci.digest import hex_of, of_bytes


@dataclass(frozen=True, slots=True)
class Blobs:
    folder: Path

    def path(self, digest: str) -> Path:
        return self.folder / hex_of(digest)

    def put(self, data: bytes) -> str:
        """Keep the data and return its digest. Putting it again only makes it young, so that prune waits."""
        digest = of_bytes(data)
        path = self.path(digest)
        try:
            os.utime(path)
        except FileNotFoundError:
            write_file(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise NotFound(
                f"image store holds no blob {digest}", hint="it may have been pruned: build again"
            ) from None
        if of_bytes(data) != digest:
            raise HostProblem(
                f"blob {digest} is damaged on disk",
                hint=f"remove {self.path(digest)} and build the image again",
            )
        return data
