"""What the whole machine has in memory that it cannot give back at once (proc_meminfo(5)), and who has it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# Not the page cache, nor what the kernel keeps of files: those go when memory is wanted.
_HELD = ("AnonPages", "Shmem", "SUnreclaim", "PageTables", "KernelStack", "Percpu")
_PRIVATE = ("Private_Clean", "Private_Dirty")
SETTLE_SECONDS = 2.0  # the kernel counts in batches a CPU, and frees what RCU still guards


def held() -> int:
    """Bytes, once what was just done has settled."""
    time.sleep(SETTLE_SECONDS)
    rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(rows[name].split()[0]) for name in _HELD) * 1024


def private(pids: Iterable[int]) -> int:
    """Bytes that these processes alone have; one that has ended has none."""
    return sum(_private(pid) for pid in pids)


def _private(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        return sum(int(words[1]) * 1024 for words in rows if words[0].rstrip(":") in _PRIVATE)
    return 0


def has_swap() -> bool:
    return len(Path("/proc/swaps").read_text().splitlines()) > 1


def swapped() -> int:
    """Bytes in swap."""
    rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return (int(rows["SwapTotal"].split()[0]) - int(rows["SwapFree"].split()[0])) * 1024


def of_control_plane(state: Path) -> list[int]:
    """Ids of the processes that name the state folder: what supervisord runs, and itself. A container's conmon
    names it too, as the place of its log, and so does this very one."""
    named = (pid for pid in _numbers() if bytes(state) in (line := _command(pid)) and b"conmon" not in line)
    return [pid for pid in named if pid != os.getpid()]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Of those that live, their ended children with them."""
    return sum(_cpu(pid) for pid in pids) / os.sysconf("SC_CLK_TCK")


def _cpu(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15])  # utime, stime, and those of children
    return 0


def running(command: str) -> list[int]:
    """Ids of the processes whose command line, joined by blanks, is this."""
    return [pid for pid in _numbers() if _command(pid).rstrip(b"\0").replace(b"\0", b" ") == command.encode()]


def _numbers() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
