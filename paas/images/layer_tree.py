"""Layer entries become a folder that overlayfs takes as a lower one (OCI layer.md; overlayfs.rst)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from paas.errors import BadInput
from paas.images.budget import Budget
from paas.images.names import Parts, layer_parts, shown
from paas.images.tree import Chunks, Tree
from paas.images.walk import MAX_ID, OPAQUE_MARK, OPAQUE_XATTR, WHITEOUT
from paas.oci.tar import TarEntry

_AUFS = ".wh..wh."  # notes that aufs left for itself in old images


class LayerTree(Tree):
    """Takes the entries of a layer with their whiteouts. Ids are kept as they are: 0-based."""

    def __init__(self, root: Path, budget: Budget) -> None:
        super().__init__(root, budget, keep_ids=True)

    def put(self, entry: TarEntry, chunks: Chunks) -> None:
        parts = layer_parts(entry.path)
        if any(part.startswith(WHITEOUT) for part in parts):
            self._mark(parts)
            return
        if max(entry.uid, entry.gid) > MAX_ID or min(entry.uid, entry.gid) < 0:
            raise BadInput(f"layer entry {shown(entry.path)!r} belongs to an id above {MAX_ID:,}")
        self._reveal(parts)
        match entry.kind:
            case "dir":
                self._put_folder(parts, entry)
            case "file":
                self.put_file(parts, entry, chunks)
            case "symlink":
                self.put_symlink(parts, entry)
            case "link":
                self.put_link(parts, layer_parts(entry.target))
            case "fifo":
                self.put_fifo(parts, entry)
            case _ if parts[:1] != (
                "dev",
            ):  # what images have there is moot: a container gets a /dev of its own
                raise BadInput(f"layer entry {shown(entry.path)!r} is a device: a layer may not hold one")

    def _put_folder(self, parts: Parts, entry: TarEntry) -> None:
        replaces = bool(parts) and self._is_whiteout(parts)
        fd = self.put_folder(parts, entry)
        if replaces:
            os.setxattr(fd, OPAQUE_XATTR, b"y")

    def _mark(self, parts: Parts) -> None:
        *folder, name = parts
        if name == OPAQUE_MARK:
            os.setxattr(self.folder(tuple(folder)), OPAQUE_XATTR, b"y")
        elif not any(part.startswith(_AUFS) for part in parts):
            hidden = name.removeprefix(WHITEOUT)
            if any(part.startswith(WHITEOUT) for part in folder):
                raise BadInput(f"layer entry {shown('/'.join(parts))!r} lies in a whiteout")
            if hidden in ("", ".", ".."):
                raise BadInput(f"layer entry {shown('/'.join(parts))!r} is a whiteout of nothing")
            self._hide((*folder, hidden))

    def _hide(self, parts: Parts) -> None:
        """A whiteout is about the layers below: what this layer itself has by that name stays."""
        try:
            found = os.stat(parts[-1], dir_fd=self.folder(parts[:-1]), follow_symlinks=False)
        except FileNotFoundError:
            self.put_device(parts, stat.S_IFCHR, os.makedev(0, 0))
            return
        if stat.S_ISDIR(found.st_mode):
            os.setxattr(self.folder(parts), OPAQUE_XATTR, b"y")

    def _reveal(self, parts: Parts) -> None:
        """Parents that this layer both hides and has anew: they show nothing of the layers below."""
        for depth in range(1, len(parts)):
            if self.is_open(parts[:depth]):
                continue
            if self._is_whiteout(parts[:depth]):
                self._put_folder(parts[:depth], TarEntry("/".join(parts[:depth]), "dir", 0o755))

    def _is_whiteout(self, parts: Parts) -> bool:
        try:
            found = os.stat(parts[-1], dir_fd=self.folder(parts[:-1]), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return stat.S_ISCHR(found.st_mode)
