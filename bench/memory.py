"""What memory the workers that build take, as the kernel counts it (proc(5))."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

_MARK = b"worker-build"  # as paas.host.forked calls them
_RESET_PEAK = "5"  # clear_refs: from now on VmHWM is the most since now


@dataclass(slots=True)
class Workers:
    """The processes that build; one ends after its rest, and another begins. Bytes: `idle` before anything was
    built, `most` of one while something was, and what of that is its `own` and not shared with the others, who
    all began as copies of one (fork(2))."""

    idle: int = 0
    most: int = 0
    own: int = 0

    def begin(self) -> None:
        for folder in _children():
            with suppress(OSError):
                self.idle = self.idle or _size(folder / "status", "VmRSS")
                (folder / "clear_refs").write_text(_RESET_PEAK)

    def end(self) -> None:
        for folder in _children():
            with suppress(OSError):
                self._look(folder / "status", folder / "smaps_rollup")

    def _look(self, status: Path, rollup: Path) -> None:
        peak, now = _size(status, "VmHWM"), _size(status, "VmRSS")
        own = _size(rollup, "Private_Clean") + _size(rollup, "Private_Dirty")
        self.most = max(self.most, peak)
        self.own = max(self.own, own + peak - now)  # what it has given back was its own, at most


def table(workers: Workers) -> str:
    rows = {"idle": workers.idle, "most, in any scenario": workers.most, "not shared, at most": workers.own}
    lines = [f"  {name:28}{size / 2**20:9.1f} MiB" for name, size in rows.items()]
    return "\n".join(["memory of a build worker", *lines])


def _children() -> list[Path]:
    """Of the one that they began as, which only hands out work."""
    marked = {folder.name: folder for folder in Path("/proc").iterdir() if _is_marked(folder)}
    found = []
    for folder in marked.values():
        with suppress(OSError):
            if _parent(folder) in marked:
                found.append(folder)
    return found


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
    """`file` has lines such as "VmHWM:   1234 kB"; one that has just ended has no such line."""
    lines = (line.split() for line in file.read_text().splitlines())
    return next((words[1] for words in lines if words and words[0] == f"{name}:"), "0")
