"""What processes hold of memory that others hold too, by /proc/PID/smaps_rollup (proc(5)). The kernel walks all
of their pages for it, so ask rarely."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def weigh(pids: Iterable[int]) -> tuple[int, int]:
    """Bytes that these processes have to themselves (each of them alone), and their part of what is shared with
    others or with each other. Those that ended meanwhile count for nothing."""
    unshared = shared = 0
    for pid in pids:
        own, part = parse(_text(Path(f"/proc/{pid}/smaps_rollup")))
        unshared, shared = unshared + own, shared + part
    return unshared, shared


def parse(text: str) -> tuple[int, int]:
    """(private, proportional share of the rest) in bytes. Pure."""
    rows = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    sizes = {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows}
    own = sizes.get("Private_Clean", 0) + sizes.get("Private_Dirty", 0)
    return own, max(0, sizes.get("Pss", 0) - own)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
