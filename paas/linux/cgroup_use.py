"""What a cgroup uses, read in one go: few files, each once, as text that is never parsed twice.

Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, accounting/psi.rst,
scheduler/sched-stats.rst, accounting/delay-accounting.rst.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from paas.linux.cgroups import Cgroup
from paas.specs import Reading

PRESSURES = ("cpu", "memory", "io")
MOST_THREADS = 64  # a look at each takes 5 µs, and 15 where it says how long it waited for a disk
DELAYS = Path("/proc/sys/kernel/task_delayacct")
TICK_USEC = 1_000_000 // os.sysconf("SC_CLK_TCK")
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
        stalled_usec=_stalled(folder, folder / "cgroup.threads"),
        oom_kills=_or_nothing(folder / "memory.events", oom_kills, 0),
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
        stalled_usec=_waited(cgroup.folder("cpu") / "tasks"),
        oom_kills=_or_nothing(folder / "memory.oom_control", oom_kills, 0),
    )


def swap_used(cgroup: Cgroup) -> int | None:
    """Bytes on swap of it and all below it; None where this kernel does not count them."""
    if cgroup.tree.version == 2:
        return _or_nothing(cgroup.folder("memory") / "memory.swap.current", int, None)
    file = cgroup.folder("memory") / "memory.stat"
    return _or_nothing(file, lambda text: _fields(text).get("total_swap"), None)


def oom_kills(text: str) -> int:
    """Of memory.events or v1's memory.oom_control. Both count a kill where the killed process was, whoever's
    limit it was for; v2 again in all above, which no container is. Pure."""
    return _fields(text).get("oom_kill", 0)


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
    return next((int(value) for value in _some(text, "total")), 0)


Stalled = tuple[int | None, int | None, int | None]  # microseconds: for a processor, memory, a disk


def _stalled(folder: Path, threads: Path) -> Stalled:
    """None where the kernel keeps no pressure of cgroups (psi=0), and threads do not tell either."""
    told = [_or_nothing(folder / f"{name}.pressure", stalled_total, None) for name in PRESSURES]
    if None in told:
        told = [one if psi is None else psi for psi, one in zip(told, _waited(threads), strict=True)]
    cpu, memory, io = told
    return cpu, memory, io


def machine_stalled(folder: Path = Path("/proc/pressure")) -> Stalled:
    """Thousandths of the last minute in which some process here waited for a processor, memory, a disk."""
    cpu, memory, io = (_or_nothing(folder / name, stalled_lately, None) for name in PRESSURES)
    return cpu, memory, io


def stalled_lately(text: str) -> int:
    """Of a line like "some avg10=0.00 avg60=1.25 …": 13. Pure."""
    return next((round(float(value) * 10) for value in _some(text, "avg60")), 0)


def _waited(threads: Path) -> Stalled:
    """What the threads that `threads` lists waited, each for itself; None where no thread tells, as none does
    for memory. Of an app that has very many, the first are asked."""
    some = _text(threads).split()[:MOST_THREADS]
    return _sum(some, _for_processor), None, _sum(some, _for_disk) if delays_are_counted() else None


def delays_are_counted() -> bool:
    """Whether the kernel notes how long each thread waited for a disk."""
    return _or_nothing(DELAYS, int, 0) == 1


def _sum(threads: Iterable[str], waited: Callable[[str], int]) -> int | None:
    told = []
    for thread in threads:
        with suppress(OSError, IndexError):  # it has ended, or the kernel keeps no such count
            told.append(waited(thread))
    return sum(told) if told else None


def _for_processor(thread: str) -> int:
    """The second number of schedstat, in ns."""
    return int(_bytes(Path(f"/proc/{thread}/schedstat")).split()[1]) // 1000


def _for_disk(thread: str) -> int:
    """delayacct_blkio_ticks of stat (proc(5)), what comes from swap among it. A name may hold any bytes."""
    return int(_bytes(Path(f"/proc/{thread}/stat")).rpartition(b")")[2].split()[39]) * TICK_USEC


def _some(text: str, name: str) -> list[str]:
    """Values of that name in the line of a pressure file that begins with "some"."""
    words = [word for line in text.splitlines() if line.startswith("some ") for word in line.split()]
    return [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]


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
    return _bytes(file).decode()


def _bytes(file: Path) -> bytes:
    """A third of the time that Path.read_bytes takes, which counts for thousands of them."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)
