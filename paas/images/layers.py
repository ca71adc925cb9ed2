"""`layers/<hex of DiffID>/`: unpacked, as overlayfs takes them; `layers-meta/<hex>.json`: their facts.

A layer is written under a temporary name that its writer holds locked, and renamed when all of it is on disk.
So a folder with a proper name is complete, and a temporary one that nobody locks was left by a crash.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from paas.errors import BadInput, NotFound
from paas.images import changeset
from paas.images.budget import Budget
from paas.images.changeset import Streamed
from paas.images.compression import Meter, decompressed
from paas.images.durable import TEMPORARY, room_for, sync_file_system, sync_folder, temporary_name, write_file
from paas.images.layer_tree import LayerTree
from paas.images.lock import adding
from paas.images.tar_reader import TarReader
from paas.oci.digest import hex_of


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """`size` is the content in bytes, `tar_bytes` the length of the stream that the DiffID is the digest of.

    `canonical`: that stream can be made again from the folder (else it came from elsewhere, written otherwise).
    """

    diff_id: str
    size: int
    files: int
    tar_bytes: int = 0
    canonical: bool = True
    created: str = ""  # RFC 3339


@dataclass(frozen=True, slots=True)
class Layers:
    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "layers"

    def path(self, diff_id: str) -> Path:
        return self.folder / hex_of(diff_id)

    def facts_path(self, diff_id: str) -> Path:
        return self.root / "layers-meta" / f"{hex_of(diff_id)}.json"

    def has(self, diff_id: str) -> bool:
        return self.path(diff_id).is_dir()

    def info(self, diff_id: str) -> LayerInfo:
        if not self.has(diff_id):
            raise NotFound(f"image store has no layer {diff_id}", hint="it may have been pruned: build again")
        return LayerInfo(**json.loads(self.facts_path(diff_id).read_bytes()))

    def use(self, diff_id: str) -> bool:
        """Whether the layer is there; if so it counts as young, so that a prune under way leaves it alone."""
        with adding(self.root):
            return self._touch(diff_id)

    def commit(self, upper: Path, *, exclude: Collection[str], epoch: int | None, budget: Budget) -> LayerInfo:
        with self._new() as folder:
            streamed = changeset.copy(upper, folder, exclude=exclude, epoch=epoch, budget=budget)
            return self._keep(folder, streamed, canonical=True)

    def import_(self, stream: BinaryIO, *, expected: str | None, canonical: bool, budget: Budget) -> LayerInfo:
        with self._new() as folder:
            streamed = _unpack(stream, folder, budget)
            if expected is not None and streamed.diff_id != expected:
                raise BadInput(f"layer has DiffID {streamed.diff_id}, not {expected}", hint="fetch it again")
            if canonical:
                streamed = changeset.describe(folder)
            return self._keep(folder, streamed, canonical=canonical)

    @contextmanager
    def _new(self) -> Iterator[Path]:
        """A temporary folder, locked while in use; gone afterwards unless it was renamed."""
        path = self.folder / temporary_name()
        with adding(self.root):
            path.mkdir(mode=0o755)
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            path.chmod(0o755)
            with room_for("a layer"):
                yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)

    def _keep(self, folder: Path, streamed: Streamed, *, canonical: bool) -> LayerInfo:
        info = LayerInfo(
            diff_id=streamed.diff_id,
            size=streamed.size,
            files=streamed.files,
            tar_bytes=streamed.tar_bytes,
            canonical=canonical,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if self.use(info.diff_id):
            return self.info(info.diff_id)
        os.utime(folder, ns=(0, 0))
        sync_file_system(folder)
        with adding(self.root):
            # The facts come first: a layer that is there has them.
            write_file(self.facts_path(info.diff_id), json.dumps(asdict(info)).encode())
            self._rename(folder, self.path(info.diff_id))
        return info

    def _rename(self, folder: Path, path: Path) -> None:
        try:
            folder.rename(path)
        except OSError as error:
            # Somebody made the same layer meanwhile. (An empty one was replaced by ours, which is the same.)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        sync_folder(self.folder)

    def _touch(self, diff_id: str) -> bool:
        if not self.has(diff_id):
            return False
        os.utime(self.facts_path(diff_id))
        return True

    def abandoned(self) -> Iterator[Path]:
        """Temporary folders of writers that are dead. Ask while holding `removing`."""
        for path in self.folder.glob(f"{TEMPORARY}*"):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
            except BlockingIOError:
                continue
            finally:
                os.close(fd)


def _unpack(stream: BinaryIO, folder: Path, budget: Budget) -> Streamed:
    with decompressed(stream) as plain, LayerTree(folder, budget) as tree:
        meter = Meter(plain, budget)
        reader = TarReader(meter.buffered())
        size = 0
        for entry in reader:
            tree.put(entry, reader.chunks())
            size += entry.size
        tree.finish()
        meter.drain()
    return Streamed(meter.digest, meter.bytes, size, budget.files)
