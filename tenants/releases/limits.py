"""Memory limits of an app's processes: what its release asks for, what a person put in its place, what would
suit.

A limit that was put in the place of another stands as long as the release asks for that other one: whoever
writes a new one into berth.toml has the last word. Bytes throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from paas.specs import MIB, ProcessSpec
from tenants.apps.models import App
from tenants.releases.models import Release
from tenants.releases.serial import processes

MARGIN = 4  # a quarter more than it was ever seen to need
STEP = 16 * MIB
LEAST = 32 * MIB
Chosen: TypeAlias = Mapping[str, Mapping[str, int]]  # App.limits


@dataclass(frozen=True, slots=True)
class Size:
    """Of each container of a process type. `limit` is in force, `asked` is the release's; `needed` is the most
    that one was seen to need, 0 for not yet; `advice` is a better limit, None where it is about right."""

    process: str
    limit: int
    asked: int
    needed: int = 0
    advice: int | None = None

    @property
    def undo(self) -> int | None:
        """What to go back to, where a person put another in its place."""
        return self.asked if self.limit != self.asked else None


def right_size(limit: int, peak: int, most: int) -> int | None:
    """A better limit for a process type that never needed more than `peak`; None where it is about right.

    Never below what it was seen to need and a quarter of it, nor above `most`, its tenant's quota; in whole
    steps, so that it does not change daily.
    """
    if not peak:
        return None
    wanted = max(LEAST, -(-(peak + peak // MARGIN) // STEP) * STEP)
    too_large, too_small = wanted <= limit * 3 // 4, peak > limit * 9 // 10
    if too_large:
        return wanted if wanted <= most else None
    wanted = min(wanted, most)
    return wanted if too_small and wanted > limit else None


def in_force(app: App, release: Release) -> tuple[ProcessSpec, ...]:
    """The release's processes as they are to run."""
    return tuple(replace(p, memory_bytes=_memory(app.limits, p)) for p in processes(release))


def sizes(app: App, release: Release | None, needed: Mapping[str, int]) -> list[Size]:
    """`needed`: by process type (tenants.fleet.models.Peak)."""
    return [
        _size(app, process, needed.get(process.name, 0)) for process in (processes(release) if release else ())
    ]


def sizes_of(app: App, serving: Release | None) -> list[Size]:
    """Of the release that serves; none where none does."""
    if serving is None:
        return []
    return sizes(app, serving, {peak.process_type: peak.bytes for peak in app.peaks.all()})


def _size(app: App, process: ProcessSpec, needed: int) -> Size:
    limit = _memory(app.limits, process)
    advice = right_size(limit, needed, app.tenant.memory_bytes)
    return Size(process.name, limit, process.memory_bytes, needed, advice)


def _memory(chosen: Chosen, process: ProcessSpec) -> int:
    own = chosen.get(process.name)
    stands = own is not None and own["instead_of"] == process.memory_bytes
    return own["memory"] if own is not None and stands else process.memory_bytes
