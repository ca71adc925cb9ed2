"""The machine's memory (proc_meminfo(5)), in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """`available` is what the kernel can give without swapping; `untouched`, of processes' own memory, what
    nobody touched for a while, so that the kernel would write it to swap first."""

    total: int
    available: int
    swap: int
    swap_free: int
    untouched: int


def read() -> Memory:
    return parse(Path("/proc/meminfo").read_text())


def parse(text: str) -> Memory:
    rows = (line.split() for line in text.splitlines())
    found = {name.rstrip(":"): int(value) * 1024 for name, value, *_ in rows}
    names = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree", "Inactive(anon)")
    return Memory(*(found[name] for name in names))
