"""What memory the workers that build take, as the kernel counts it (proc(5))."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

_MARK = b"worker-build"  # as paas.host.forked calls them
_RESET_PEAK = "5"  # clear_refs: from now on VmHWM is the most since now


@dataclass(slots=True)
class Worker:
    """One process of the build worker. Bytes: `idle` before anything was built, `most` while something was, and
    what of that is its `own` and not shared with the others, who all began as copies of one (fork(2))."""

    folder: Path
    idle: int = 0
    most: int = 0
    own: int = 0

    @classmethod
    def all(cls) -> list[Worker]:
        """Those that build; the one that they began as only hands out work."""
        marked = {folder.name: folder for folder in Path("/proc").iterdir() if _is_marked(folder)}
        children = (folder for folder in marked.values() if _parent(folder) in marked)
        return [cls(folder, idle=_size(folder / "status", "VmRSS")) for folder in children]

    def begin(self) -> None:
        (self.folder / "clear_refs").write_text(_RESET_PEAK)

    def end(self) -> None:
        status, rollup = self.folder / "status", self.folder / "smaps_rollup"
        peak, now = _size(status, "VmHWM"), _size(status, "VmRSS")
        own = _size(rollup, "Private_Clean") + _size(rollup, "Private_Dirty")
        self.most = max(self.most, peak)
        self.own = max(self.own, own + peak - now)  # what it has given back was its own, at most


def table(workers: Iterable[Worker]) -> str:
    """Of the one that took the most."""
    worker = max(workers, key=lambda worker: worker.most)
    rows = {"idle": worker.idle, "most, in any scenario": worker.most, "not shared, of that": worker.own}
    lines = [f"  {name:28}{size / 2**20:9.1f} MiB" for name, size in rows.items()]
    return "\n".join(["memory of a build worker", *lines])


def _is_marked(folder: Path) -> bool:
    if not folder.name.isdecimal():
        return False
    with suppress(OSError):
        command = (folder / "cmdline").read_bytes()
        return _MARK in command and bytes(settings.PATHS.state) in command
    return False


def _parent(folder: Path) -> str:
    return _field(folder / "status", "PPid")


def _size(file: Path, name: str) -> int:
    return int(_field(file, name)) * 1024


def _field(file: Path, name: str) -> str:
    """`file` has lines such as "VmHWM:   1234 kB"."""
    lines = (line.split() for line in file.read_text().splitlines())
    return next(words[1] for words in lines if words and words[0] == f"{name}:")
