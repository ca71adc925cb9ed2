"""`blobs/sha256/<hex>`: immutable files by what they hold: manifests, configs, and layers as they came."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from paas.errors import HostProblem, NotFound
from paas.images.durable import sync_file, sync_folder, temporary_name, write_files
from paas.images.lock import adding, removing
from paas.images.temporary import new_folder
from paas.oci.digest import hex_of, of_bytes


@dataclass(frozen=True, slots=True)
class Blobs:
    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "blobs" / "sha256"

    def path(self, digest: str) -> Path:
        return self.folder / hex_of(digest)

    def has(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def put(self, *documents: bytes) -> None:
        """Keep them under their digests. Putting one again only makes it young, so that prune waits.

        Call it while holding `adding`."""
        named = {of_bytes(data): data for data in documents}
        write_files({self.path(digest): data for digest, data in named.items() if not self.use(digest)})

    def use(self, digest: str) -> bool:
        """Whether it is here; if so it is young again. Call it while holding `adding`."""
        try:
            os.utime(self.path(digest))
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder for files that may become blobs; gone afterwards with those that did not."""
        with new_folder(self.root, self.root / "incoming") as folder:
            yield folder

    def adopt(self, path: Path, digest: str) -> None:
        """Take over a file from `staging` that is known to have this digest."""
        sync_file(path)
        with adding(self.root):
            target = self.path(digest)
            if target.exists():
                os.utime(target)
                return
            os.utime(path)
            path.chmod(0o600)
            path.rename(target)
            sync_folder(self.folder)

    def discard(self, digest: str, trash: Path) -> None:
        with removing(self.root), suppress(FileNotFoundError):
            self.path(digest).rename(trash / temporary_name())

    def get(self, digest: str) -> bytes:
        """A document."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise NotFound(
                f"image store holds no blob {digest}", hint="it may have been pruned: build again"
            ) from None
        if of_bytes(data) != digest:
            raise HostProblem(
                f"blob {digest} is damaged on disk",
                hint="ask an administrator to mend the image store (manage.py store fsck --mend)",
            )
        return data
