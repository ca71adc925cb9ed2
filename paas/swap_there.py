"""Whether this machine has swap to sleep in, for who may not ask the engine (proc_swaps(5))."""

from __future__ import annotations

from pathlib import Path

SWAPS = Path("/proc/swaps")
MISSING = "Nothing falls asleep by itself, and what sleeps keeps its memory: this machine has no swap."


def missing() -> str:
    """What keeps apps from sleeping here; empty for nothing."""
    return "" if len(SWAPS.read_text().splitlines()) > 1 else MISSING
