"""Finding and removing what nothing refers to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.images.blobs import Blobs
from paas.images.durable import temporary_name
from paas.images.graph import all_blobs, images
from paas.images.layers import Layers
from paas.images.lock import removing
from paas.images.steps import Steps
from paas.images.tags import names_of
from paas.images.temporary import abandoned

# Where a writer that dies may leave something under a temporary name.
_WRITTEN = ("layers", "layers-meta", "blobs/sha256", "incoming", "steps/??")


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was removed, or would be. `bytes` is the content of all of it, `layer_bytes`, `blob_bytes` and
    `abandoned_bytes` (what dead writers left, damaged layers) are its parts; a build step is a few bytes."""

    layers: tuple[str, ...]
    blobs: tuple[str, ...]
    steps: int
    abandoned: int
    bytes: int
    dry_run: bool
    layer_bytes: int = 0
    blob_bytes: int = 0
    abandoned_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Keep:
    """What must stay: images by their manifests' digests, and layers by DiffID."""

    images: frozenset[str]
    layers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Plan:
    """In the order in which it is removed: whatever is gone first, what is left is sound."""

    steps: tuple[Path, ...]
    blobs: tuple[str, ...]  # manifests before what they name
    layers: tuple[str, ...]
    # Facts of layers that are not there (who puts both in place holds `adding`), and names half written.
    strays: tuple[Path, ...]
    abandoned: tuple[Path, ...]
    damaged: tuple[Path, ...]  # layers that fsck set aside and nothing runs on any more


@dataclass(frozen=True, slots=True)
class StepAges:
    """How long a build step is remembered that nobody uses, in seconds."""

    usual: float
    short: float
    hurried: frozenset[str]  # layers, by DiffID, whose steps go after the short time

    def of(self, diff_id: str) -> float:
        return min(self.usual, self.short) if diff_id in self.hurried else self.usual


@dataclass(frozen=True, slots=True)
class Pruner:
    """`grace` in seconds: a step not used for longer than its age is forgotten; what is younger than `grace`
    stays even when unreferenced, for a build that has made it and not yet recorded its image."""

    root: Path
    blobs: Blobs
    layers: Layers
    steps: Steps
    step_ages: StepAges
    grace: float

    def run(self, keep: Keep, *, dry_run: bool) -> PruneReport:
        trash = self.root / "trash"
        with removing(self.root):
            plan = self._plan(keep)
            report = self._report(plan, dry_run=dry_run)
            if not dry_run:
                self._discard(plan, trash)
        if not dry_run:
            # Outside the lock: removing a large layer takes seconds, and nothing can reach it any more.
            for path in trash.iterdir():
                remove(path)
        return report

    def _plan(self, keep: Keep) -> _Plan:
        used_blobs, used_layers = self._reachable(keep)
        old_steps = []
        for path, diff_id, age in self.steps.all():
            if not diff_id or age > self.step_ages.of(diff_id) or not self.layers.has(diff_id):
                old_steps.append(path)
            else:
                used_layers.add(diff_id)
        used_blobs |= {info.blob for d in used_layers if (info := self.layers.facts(d))}
        blobs = [d for d in all_blobs(self.blobs) if d not in used_blobs and self._is_old(self.blobs.path(d))]
        manifests = {found.digest for found in images(self.blobs, blobs)}
        layers = [(d, self.layers.facts_path(d)) for d in self.layers.known() if self.layers.has(d)]
        return _Plan(
            steps=tuple(old_steps),
            blobs=tuple(sorted(blobs, key=lambda digest: (digest not in manifests, digest))),
            layers=tuple(d for d, facts in layers if d not in used_layers and self._is_old(facts)),
            strays=tuple(self._strays()),
            abandoned=tuple(self._abandoned()),
            damaged=tuple(self._damaged(keep.layers)),
        )

    def _reachable(self, keep: Keep) -> tuple[set[str], set[str]]:
        """Blobs and layers of the images kept, and of those that are young."""
        young = {d for d in all_blobs(self.blobs) if not self._is_old(self.blobs.path(d))}
        blobs, layers = set(keep.images), set(keep.layers)
        for found in images(self.blobs, keep.images | young):
            blobs.update(found.documents, (blob for blob, _ in found.layers))
            layers.update(found.diff_ids)
        return blobs, layers

    def _is_old(self, path: Path) -> bool:
        return not path.exists() or time.time() - path.stat().st_mtime >= self.grace

    def _strays(self) -> Iterator[Path]:
        yield from (self.layers.facts_path(d) for d in self.layers.known() if not self.layers.has(d))
        yield from abandoned(names_of(self.root))

    def _abandoned(self) -> Iterator[Path]:
        for pattern in _WRITTEN:
            for folder in self.root.glob(pattern):
                yield from abandoned(folder)

    def _damaged(self, needed: frozenset[str]) -> Iterator[Path]:
        for path in (self.root / "quarantine").iterdir():
            if f"sha256:{path.name.partition('.')[0]}" not in needed:
                yield path

    def _report(self, plan: _Plan, *, dry_run: bool) -> PruneReport:
        layers = sum(facts.size for d in plan.layers if (facts := self.layers.facts(d)))
        blobs = sum(self.blobs.path(digest).stat().st_size for digest in plan.blobs)
        left = sum(_size(path) for path in (*plan.abandoned, *plan.damaged))
        return PruneReport(
            layers=tuple(sorted(plan.layers)),
            blobs=tuple(sorted(plan.blobs)),
            steps=len(plan.steps),
            abandoned=len(plan.abandoned) + len(plan.damaged),
            bytes=layers + blobs + left,
            dry_run=dry_run,
            layer_bytes=layers,
            blob_bytes=blobs,
            abandoned_bytes=left,
        )

    def _discard(self, plan: _Plan, trash: Path) -> None:
        """Take the objects out of reach: steps, then images, then layers, then their facts."""
        for step in plan.steps:
            step.unlink(missing_ok=True)
        for digest in plan.blobs:
            self.blobs.path(digest).unlink(missing_ok=True)
        for diff_id in plan.layers:
            self.layers.discard(diff_id, trash / temporary_name())
        for path in plan.strays:
            path.unlink(missing_ok=True)
        for path in (*plan.abandoned, *plan.damaged):
            path.rename(trash / temporary_name())


def remove(path: Path) -> None:
    """A file or a folder out of the trash. Another prune may be at it as well; the next one ends it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Content in bytes, of a file or of a folder with all beneath it."""
    files = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())
