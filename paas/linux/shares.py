"""What processes hold of memory that others hold too, by /proc/PID/smaps_rollup (proc(5)). The kernel walks all
of their pages for it, so ask rarely."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from paas.specs import Weight


def weigh(pids: Iterable[int]) -> Weight:
    """Of all of these together. Those that ended meanwhile count for nothing."""
    return together([parse(_text(Path(f"/proc/{pid}/smaps_rollup"))) for pid in pids])


def together(processes: Sequence[Weight]) -> Weight:
    """Processes of one app use mostly the same files: those of the one that uses most are counted, or what all
    of them have for their part, whichever is more. Pure."""
    part = sum(one.files_part for one in processes)
    return Weight(
        unshared=sum(one.unshared for one in processes),
        shared=sum(one.shared for one in processes),
        files_used=max([part, *(one.files_used for one in processes)]),
        files_part=part,
    )


def parse(text: str) -> Weight:
    """Of one process. Pure."""
    rows = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    sizes = defaultdict(int, {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows})
    own = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return Weight(
        unshared=own,
        shared=max(0, sizes["Pss"] - own),
        files_used=max(0, sizes["Rss"] - sizes["Anonymous"]),
        files_part=sizes["Pss_File"],
    )


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
