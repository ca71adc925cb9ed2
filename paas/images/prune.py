"""Finding and removing what nothing refers to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paas.images.blobs import Blobs
from paas.images.durable import temporary_name
from paas.images.layers import Layers
from paas.images.lock import removing
from paas.images.steps import Steps
from paas.oci.config import parse_config
from paas.oci.digest import is_hex
from paas.oci.manifest import parse_manifest


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was removed, or would be; `bytes` is the content of the layers and blobs among it."""

    layers: tuple[str, ...]
    blobs: tuple[str, ...]
    steps: int
    abandoned: int
    bytes: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    layers: tuple[str, ...]
    blobs: tuple[str, ...]
    steps: tuple[Path, ...]
    abandoned: tuple[Path, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Pruner:
    """`step_age` and `grace` in seconds: a step not used for longer is forgotten; what is younger than `grace`
    stays even when unreferenced, for a build that has made it and not yet recorded its image."""

    root: Path
    blobs: Blobs
    layers: Layers
    steps: Steps
    step_age: float
    grace: float

    def run(self, keep: Iterable[str], *, dry_run: bool) -> PruneReport:
        trash = self.root / "trash"
        with removing(self.root):
            plan = self._plan(frozenset(keep))
            if not dry_run:
                self._discard(plan, trash)
        if not dry_run:
            # Outside the lock: removing a large layer takes seconds, and nothing can reach it any more.
            for path in trash.iterdir():
                shutil.rmtree(path, ignore_errors=True)  # another prune may be at it; the next one ends it
        return PruneReport(plan.layers, plan.blobs, len(plan.steps), len(plan.abandoned), plan.bytes, dry_run)

    def _plan(self, keep: frozenset[str]) -> _Plan:
        used_blobs, used_layers = self._reachable(keep)
        old_steps = []
        for path, diff_id, age in self.steps.all():
            if age > self.step_age or not self.layers.has(diff_id):
                old_steps.append(path)
            else:
                used_layers.add(diff_id)
        layers = [diff_id for diff_id in self._old_layers() if diff_id not in used_layers]
        blobs = [digest for digest in self._old_blobs() if digest not in used_blobs]
        size = sum(self.layers.info(d).size for d in layers) + sum(
            self.blobs.path(d).stat().st_size for d in blobs
        )
        return _Plan(tuple(layers), tuple(blobs), tuple(old_steps), tuple(self.layers.abandoned()), size)

    def _reachable(self, keep: frozenset[str]) -> tuple[set[str], set[str]]:
        """Blobs and layers of the kept images."""
        blobs, layers = set(keep), set[str]()
        for digest in keep:
            if not self.blobs.path(digest).exists():  # a row may outlive its image
                continue
            manifest = parse_manifest(self.blobs.get(digest))
            blobs.add(manifest.config.digest)
            layers.update(parse_config(self.blobs.get(manifest.config.digest)).diff_ids)
        return blobs, layers

    def _old_layers(self) -> list[str]:
        return sorted(
            f"sha256:{path.name}"
            for path in self.layers.folder.iterdir()
            if is_hex(path.name) and self._is_old(self.layers.facts_path(f"sha256:{path.name}"))
        )

    def _old_blobs(self) -> list[str]:
        return sorted(
            f"sha256:{path.name}"
            for path in self.blobs.folder.iterdir()
            if is_hex(path.name) and self._is_old(path)
        )

    def _is_old(self, path: Path) -> bool:
        return time.time() - path.stat().st_mtime >= self.grace

    def _discard(self, plan: _Plan, trash: Path) -> None:
        """Take the objects out of reach: steps, then layers, then their facts, so that each state is sound."""
        for step in plan.steps:
            step.unlink(missing_ok=True)
        for digest in plan.blobs:
            self.blobs.path(digest).unlink(missing_ok=True)
        for diff_id in plan.layers:
            self.layers.path(diff_id).rename(trash / temporary_name())
            self.layers.facts_path(diff_id).unlink(missing_ok=True)
        for path in plan.abandoned:
            path.rename(trash / temporary_name())
