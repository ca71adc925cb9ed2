"""`layers/<hex of DiffID>/`: unpacked, as overlayfs takes them; `layers-meta/<hex>.json`: their facts.

A layer is written under a temporary name and renamed when all of it is on disk (paas.images.temporary).
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from paas.errors import BadInput, NotFound
from paas.images import changeset
from paas.images.budget import Budget
from paas.images.changeset import Streamed
from paas.images.compression import Meter, decompressed
from paas.images.durable import room_for, sync_file_system, sync_folder, write_file, write_lightly
from paas.images.layer_tree import LayerTree
from paas.images.lock import adding, removing
from paas.images.tar_reader import TarReader
from paas.images.temporary import new_folder
from paas.linux.syscalls import exchange
from paas.oci.digest import hex_of, is_hex


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """`size` is the content in bytes, `tar_bytes` the length of the stream that the DiffID is the digest of.

    `canonical`: that stream can be made again from the folder. Else it came from elsewhere, written otherwise:
    then `blob` is the digest of what was kept of it ("" if nothing was). `content` is the digest of the
    folder's canonical stream in either case: what fsck compares ("" in facts of an earlier version).
    """

    diff_id: str
    size: int
    files: int
    tar_bytes: int = 0
    canonical: bool = True
    created: str = ""  # RFC 3339
    content: str = ""
    blob: str = ""


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

    def facts(self, diff_id: str) -> LayerInfo | None:
        """The facts, or None when there are none that can be read; whether the layer is there or not."""
        try:
            return LayerInfo(**json.loads(self.facts_path(diff_id).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def known(self) -> list[str]:
        """Every layer that has a folder or facts."""
        names = {path.name for path in self.folder.iterdir()}
        names |= {path.name.removesuffix(".json") for path in (self.root / "layers-meta").iterdir()}
        return sorted(f"sha256:{name}" for name in names if is_hex(name))

    def discard(self, diff_id: str, target: Path) -> None:
        """Take it out of reach to the path `target`, while holding `removing`; its facts go after it."""
        with suppress(FileNotFoundError):
            self.path(diff_id).rename(target)
        self.facts_path(diff_id).unlink(missing_ok=True)

    def use(self, diff_id: str) -> bool:
        """Whether the layer is there; if so it counts as young, so that a prune under way leaves it alone."""
        with adding(self.root):
            return self._touch(diff_id)

    def commit(self, upper: Path, *, exclude: Collection[str], epoch: int | None, budget: Budget) -> LayerInfo:
        with self.new() as folder:
            streamed = changeset.copy(upper, folder, exclude=exclude, epoch=epoch, budget=budget)
            return self.keep(folder, made_here(streamed))

    def import_(self, stream: BinaryIO, *, expected: str | None, canonical: bool, budget: Budget) -> LayerInfo:
        """A layer that is ours to name (`canonical`), or one whose stream is not needed again."""
        with self.new() as folder:
            streamed = unpack_layer(stream, folder, budget)
            if expected is not None and streamed.diff_id != expected:
                raise BadInput(f"layer has DiffID {streamed.diff_id}, not {expected}", hint="fetch it again")
            ours = changeset.describe(folder, budget.look)
            return self.keep(folder, made_here(ours) if canonical else made_elsewhere(streamed, ours))

    @contextmanager
    def new(self) -> Iterator[Path]:
        """An empty folder to fill and to hand to `keep`; gone afterwards unless it was kept."""
        with new_folder(self.root, self.folder) as path, room_for("a layer"):
            yield path

    def keep(self, folder: Path, info: LayerInfo) -> LayerInfo:
        """Put a filled folder in place, unless the layer is there meanwhile. Idempotent and atomic. A power cut
        may take all of it back until `sync`."""
        if self.use(info.diff_id):
            return self.info(info.diff_id)
        os.utime(folder, ns=(0, 0))
        with adding(self.root):
            # The facts come first: a layer that is there has them. One wait brings both to the disk.
            write_lightly(self.facts_path(info.diff_id), _written(info))
            sync_file_system(folder)
            self._rename(folder, self.path(info.diff_id))
        return info

    def replace(self, folder: Path, info: LayerInfo, aside: Path) -> None:
        """Put a filled folder in the place of a damaged one, which is at the path `aside` then. At no moment is
        there no layer."""
        os.utime(folder, ns=(0, 0))
        sync_file_system(folder)
        with removing(self.root):
            self.write_facts(info)
            folder.rename(aside)
            exchange(aside, self.path(info.diff_id))
            sync_folder(self.folder)

    def write_facts(self, info: LayerInfo) -> None:
        write_file(self.facts_path(info.diff_id), _written(info))

    def _rename(self, folder: Path, path: Path) -> None:
        try:
            folder.rename(path)
        except OSError as error:
            # Somebody made the same layer meanwhile. (An empty one was replaced by ours, which is the same.)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def sync(self) -> None:
        """What was kept stays kept: once for all layers of an image."""
        sync_folder(self.folder)

    def _touch(self, diff_id: str) -> bool:
        if not self.has(diff_id):
            return False
        try:
            os.utime(self.facts_path(diff_id))
        except FileNotFoundError:  # lost: whoever makes the layer again writes them anew
            return False
        return True


def _written(info: LayerInfo) -> bytes:
    return json.dumps(asdict(info)).encode()


def made_here(streamed: Streamed) -> LayerInfo:
    return made_elsewhere(streamed, streamed)


def made_elsewhere(streamed: Streamed, ours: Streamed, blob: str = "") -> LayerInfo:
    """`streamed` is the stream that came, `ours` the canonical one of what it unpacked to."""
    canonical = ours.diff_id == streamed.diff_id
    return LayerInfo(
        diff_id=streamed.diff_id,
        size=streamed.size,
        files=streamed.files,
        tar_bytes=streamed.tar_bytes,
        canonical=canonical,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        content=ours.diff_id,
        blob="" if canonical else blob,
    )


def unpack_layer(stream: BinaryIO, folder: Path, budget: Budget) -> Streamed:
    with decompressed(stream) as plain, LayerTree(folder, budget) as tree:
        meter = Meter(plain, budget)
        reader = TarReader(meter.buffered())
        size, before = 0, budget.files
        for entry in reader:
            tree.put(entry, reader.chunks())
            size += entry.size
        tree.finish()
        meter.drain()
    return Streamed(meter.digest, meter.bytes, size, budget.files - before)
