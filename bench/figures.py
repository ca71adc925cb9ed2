"""Medians and ratios, printed so that they can be pasted into a note."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence


def table(title: str, rows: Mapping[str, Sequence[float]], *, base: str | None = None) -> str:
    """One line a row: median, least and most in milliseconds, and the ratio of its median to that of `base`."""
    lines = [title, f"  {'':28}{'median':>10}{'min':>10}{'max':>10}{'n':>5}  ratio"]
    reference = statistics.median(rows[base]) if base and rows.get(base) else None
    for name, seconds in rows.items():
        if not seconds:
            continue
        middle = statistics.median(seconds)
        ratio = f"{middle / reference:.3f}" if reference else ""
        values = "".join(f"{value * 1000:8.1f}ms" for value in (middle, min(seconds), max(seconds)))
        lines.append(f"  {name:28}{values}{len(seconds):5}  {ratio}")
    return "\n".join(lines)
