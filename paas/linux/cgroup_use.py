"""What a cgroup uses, read in one go: few files, each once, as text that is never parsed twice.

Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, accounting/psi.rst.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from paas.linux.cgroups import Cgroup
from paas.specs import Reading

PRESSURES = ("cpu", "memory", "io")
T = TypeVar("T")
N = TypeVar("N")


def read(cgroup: Cgroup) -> Reading:
    """FileNotFoundError when there is no such cgroup, or no longer."""
    return _read_v2(cgroup) if cgroup.tree.version == 2 else _read_v1(cgroup)


def _read_v2(cgroup: Cgroup) -> Reading:
    folder = cgroup.folders[0]
    memory, cpu = _fields(_text(folder / "memory.stat")), _fields(_text(folder / "cpu.stat"))
    return Reading(
        working_set=_working_set(_number(folder / "memory.current"), memory["inactive_file"]),
        anonymous=memory["anon"],
        file=memory["file"] - memory["shmem"],
        mapped=memory["file_mapped"],
        shared_memory=memory["shmem"],
        swap=_or_nothing(folder / "memory.swap.current", int, 0),
        pids=_number(folder / "pids.current"),
        cpu_usec=cpu["usage_usec"],
        throttled_usec=cpu.get("throttled_usec", 0),
        io_bytes=_or_nothing(folder / "io.stat", io_total_v2, None),
        stalled_usec=_stalled(folder),
    )


def _read_v1(cgroup: Cgroup) -> Reading:
    folder = cgroup.folder("memory")
    memory = _fields(_text(folder / "memory.stat"))
    io = cgroup.io / "blkio.throttle.io_service_bytes_recursive" if cgroup.io else Path()
    return Reading(
        working_set=_working_set(_number(folder / "memory.usage_in_bytes"), memory["total_inactive_file"]),
        anonymous=memory["total_rss"],
        file=memory["total_cache"] - memory["total_shmem"],
        mapped=memory["total_mapped_file"],
        shared_memory=memory["total_shmem"],
        swap=memory.get("total_swap", 0),
        pids=_number(cgroup.folder("pids") / "pids.current"),
        cpu_usec=_or_nothing(cgroup.folder("cpuacct") / "cpuacct.usage", int, 0) // 1000,
        throttled_usec=_fields(_text(cgroup.folder("cpu") / "cpu.stat"))["throttled_time"] // 1000,
        io_bytes=_or_nothing(io, io_total_v1, None),
        stalled_usec=None,
    )


_LOOP = "7:"  # the major number of loop devices (devices.txt): what goes through one counts at the disk below


def io_total_v2(text: str) -> int:
    """Of lines like "8:0 rbytes=1 wbytes=2 rios=…": read and written, all disks together. Pure."""
    rows = (line for line in text.splitlines() if not line.startswith(_LOOP))
    pairs = (pair.partition("=") for line in rows for pair in line.split()[1:])
    return sum(int(value) for name, _, value in pairs if name in ("rbytes", "wbytes"))


def io_total_v1(text: str) -> int:
    """Of lines like "8:0 Read 1", "8:0 Write 2", "8:0 Total 3". Pure."""
    rows = (line.split() for line in text.splitlines() if not line.startswith(_LOOP))
    return sum(int(row[2]) for row in rows if len(row) == 3 and row[1] in ("Read", "Write"))


def stalled_total(text: str) -> int:
    """Microseconds for which some task waited, of a pressure file. Pure."""
    some = next((line for line in text.splitlines() if line.startswith("some ")), "")
    return next((int(part[6:]) for part in some.split() if part.startswith("total=")), 0)


def _stalled(folder: Path) -> tuple[int, int, int] | None:
    """By processor, memory and disk; None where the kernel keeps no pressure of cgroups (psi=0)."""
    found = [_or_nothing(folder / f"{name}.pressure", stalled_total, None) for name in PRESSURES]
    cpu, memory, io = found
    return None if cpu is None or memory is None or io is None else (cpu, memory, io)


def _working_set(used: int, inactive_file: int) -> int:
    """What cannot go at once; as Docker and Kubernetes count it."""
    return max(0, used - inactive_file)


def _fields(text: str) -> dict[str, int]:
    parts = text.split()
    return dict(zip(parts[::2], map(int, parts[1::2]), strict=True))


def _or_nothing(file: Path, parse: Callable[[str], T], nothing: N) -> T | N:
    """`nothing` where this kernel has no such file."""
    try:
        return parse(_text(file))
    except OSError:
        return nothing


def _number(file: Path) -> int:
    return int(_text(file))


def _text(file: Path) -> str:
    """A third of the time that Path.read_text takes, which counts for thousands of them."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16).decode()
    finally:
        os.close(fd)
