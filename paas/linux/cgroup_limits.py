"""Limits as the files of a cgroup, read and written: v2's (cgroup-v2.rst) and v1's (cgroup-v1/*.rst)."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from paas.errors import HostProblem, LimitRefused
from paas.specs import MIB, Effective, Limits

CPU_PERIOD_USEC = 100_000
# v1's "no limit" is the largest multiple of a page that fits (PAGE_COUNTER_MAX).
_NO_LIMIT_V1 = 2**60
BFQ_WEIGHT_MAX = 1000
PAGE = os.sysconf("SC_PAGE_SIZE")
TCP_V1, TCP_LEAST = "memory.kmem.tcp.limit_in_bytes", 4 << 20
_MEMORY_V1, _BOTH_V1 = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
_WORDS_V1 = {_MEMORY_V1: "memory", _BOTH_V1: "memory and swap together"}
# There with CONFIG_BLK_DEV_THROTTLING: v2's limits on disks, and the first of v1's.
IO_MAX, IO_MAX_V1 = "io.max", "blkio.throttle.read_bps_device"


class Refusals:
    """Of limits, raised when all else is done: one that is refused keeps no other from being set, nor does
    what one container is up to keep others from theirs."""

    def __init__(self) -> None:
        self.found: list[HostProblem] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        try:
            yield
        except HostProblem as problem:
            self.found.append(problem)

    def tell(self) -> None:
        """Errors: the first LimitRefused, which says that all else is done; without one the first of any."""
        known = [problem for problem in self.found if isinstance(problem, LimitRefused)]
        for problem in (*known, *self.found):
            raise problem


def quota_usec(cpu_millis: int) -> int:
    """A cpu limit as microseconds in each period; the kernel refuses less than one millisecond."""
    return max(cpu_millis * CPU_PERIOD_USEC // 1000, 1000)


def shares_v1(weight: int) -> int:
    """v2's cpu.weight (default 100) on v1's scale of cpu.shares (default 1,024, least 2)."""
    return max(weight * 1024 // 100, 2)


def io_weights(weight: int) -> dict[str, str]:
    """File -> what is written to it: those of v2's cost model and of BFQ, whose scale ends at 1,000."""
    bfq = str(min(weight, BFQ_WEIGHT_MAX))
    return {"io.weight": str(weight), "io.bfq.weight": bfq, "blkio.bfq.weight": bfq}


def io_caps(limits: Limits, disk: str) -> dict[str, str]:
    """File -> what is written to it for a disk, named by its MAJOR:MINOR; no limit takes a former one away."""
    rate, operations = limits.io_bytes, limits.io_operations
    bps, iops = rate or "max", operations or "max"
    return {
        IO_MAX: f"{disk} rbps={bps} wbps={bps} riops={iops} wiops={iops}",
        IO_MAX_V1: f"{disk} {rate}",
        "blkio.throttle.write_bps_device": f"{disk} {rate}",
        "blkio.throttle.read_iops_device": f"{disk} {operations}",
        "blkio.throttle.write_iops_device": f"{disk} {operations}",
    }


def tcp_buffers(memory_bytes: int) -> int:
    """How much may be in TCP's buffers where that is not counted as memory (v1's memory.rst, 2.7.2): bytes."""
    return max(memory_bytes // 4, TCP_LEAST)


def files_v2(limits: Limits) -> dict[str, str]:
    """File -> what is written to it. memory.oom.group stays 0: a process is killed, not all, as on v1."""
    return {
        # First: what is reclaimed to meet memory.max goes to no more swap than this.
        "memory.swap.max": str(limits.swap_bytes),
        "memory.max": str(limits.memory_bytes),
        "cpu.max": f"{quota_usec(limits.cpu_millis)} {CPU_PERIOD_USEC}",
        "cpu.weight": str(limits.weight),
        "pids.max": str(limits.pids),
    }


def set_v2(folder: Path, limits: Limits) -> None:
    """Errors: LimitRefused when what runs there holds more memory; all but that limit are set then."""
    refused = Refusals()
    _finish_swapping(folder, limits.swap_bytes)
    for name, value in files_v2(limits).items():
        if name == "memory.swap.max" and not (folder / name).exists():
            continue
        with refused.noted():
            if name == "memory.max":
                _make_room_v2(folder, limits.memory_bytes)
            write(folder / name, value)
    refused.tell()


def set_v1(folder: Callable[[str], Path], limits: Limits) -> None:
    """`folder` gives the cgroup's folder by controller. Errors: LimitRefused, as for v2."""
    refused = Refusals()
    with refused.noted():
        _set_tcp_v1(folder("memory") / TCP_V1, tcp_buffers(limits.memory_bytes))
    with refused.noted():
        _set_memory_v1(folder("memory"), limits)
    cpu = folder("cpu")
    write(cpu / "cpu.cfs_period_us", CPU_PERIOD_USEC)
    with refused.noted():
        _set_cpu_v1(cpu, quota_usec(limits.cpu_millis))
    write(cpu / "cpu.shares", shares_v1(limits.weight))
    write(folder("pids") / "pids.max", limits.pids)
    refused.tell()


def set_io(folder: Path, limits: Limits, disk: str | None) -> None:
    """As much of it as this kernel has: a share of every disk, and the limits on one (see io_caps)."""
    set_io_weight(folder, limits.weight)
    _write_what_is_there(folder, io_caps(limits, disk) if disk else {})


def set_io_weight(folder: Path, weight: int) -> None:
    """Its share of every disk, as far as this kernel has shares."""
    _write_what_is_there(folder, io_weights(weight))


def _write_what_is_there(folder: Path, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if (folder / name).exists():
            write(folder / name, value)


def holds_io(folder: Path, limits: Limits, disk: str) -> bool:
    """Whether the limits on a disk are those that `set_io` writes, as far as this kernel has them."""
    caps = io_caps(limits, disk).items()
    there = [(_text(folder / name), value) for name, value in caps if (folder / name).exists()]
    return all(of_disk(text, disk) == of_disk(value, disk) for text, value in there)


def read_v2(folder: Path, disk: str | None) -> Effective:
    """What is in force; a file that is not there limits nothing."""
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    io = of_disk(_text(folder / IO_MAX), disk) if disk else {}
    return Effective(
        memory_bytes=_number(_text(folder / "memory.max")),
        swap_bytes=_number(_text(folder / "memory.swap.max")),
        cpu_millis=_millis(_number(quota), _number(period)),
        pids=_number(_text(folder / "pids.max")),
        io_bytes=_looser(io.get("rbps"), io.get("wbps")),
        io_operations=_looser(io.get("riops"), io.get("wiops")),
    )


def read_v1(folder: Callable[[str], Path], io: Path | None, disk: str | None) -> Effective:
    """The same; `folder` gives the cgroup's folder by controller, `io` is that of disks."""
    memory = _finite_v1(_text(folder("memory") / "memory.limit_in_bytes"))
    both = _finite_v1(_text(folder("memory") / "memory.memsw.limit_in_bytes"))
    cpu = folder("cpu")
    quota, period = _text(cpu / "cpu.cfs_quota_us"), _number(_text(cpu / "cpu.cfs_period_us"))

    def throttle(unit: str) -> int | None:
        files = (f"blkio.throttle.{way}_{unit}_device" for way in ("read", "write"))
        one, other = (of_disk(_text(io / name), disk).get("") if io and disk else None for name in files)
        return _looser(one, other)

    return Effective(
        memory_bytes=memory,
        swap_bytes=None if memory is None or both is None else both - memory,
        cpu_millis=None if quota.startswith("-") else _millis(_number(quota), period),
        pids=_number(_text(folder("pids") / "pids.max")),
        io_bytes=throttle("bps"),
        io_operations=throttle("iops"),
    )


def _millis(quota: int | None, period: int | None) -> int | None:
    return quota * 1000 // period if quota is not None and period else None


def _finite_v1(text: str) -> int | None:
    number = _number(text)
    return None if number is None or number >= _NO_LIMIT_V1 else number


def of_disk(text: str, disk: str) -> dict[str, int]:
    """What is a limit in the line "8:0 rbps=max wbps=1048576 …" of a disk; v1's "8:0 1048576" has no names."""
    rows = (row.split() for row in text.splitlines())
    words = next((row[1:] for row in rows if row[0] == disk), [])
    pairs = (word.rpartition("=") for word in words)
    return {name: int(value) for name, _, value in pairs if value.isdigit() and value != "0"}


def _looser(one: int | None, other: int | None) -> int | None:
    """Of what is read and what is written."""
    return None if one is None or other is None else max(one, other)


def _number(text: str) -> int | None:
    """None for "max", and for nothing."""
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _finish_swapping(folder: Path, wanted: int) -> None:
    """What is written to swap counts as memory as well until that is done with, also when its process has ended
    meanwhile; with less swap than before the kernel may never come to that."""
    waits, before = read_field(folder / "memory.stat", "swapcached"), _text(folder / "memory.swap.max")
    if waits and (before == "max" or wanted < read_int(folder / "memory.swap.max")):
        with suppress(OSError):  # EAGAIN says that less went
            (folder / "memory.reclaim").write_text(str(waits))


def _make_room_v2(folder: Path, wanted: int) -> None:
    """v2 takes any limit, and kills until it is met: what cannot be reclaimed is refused here, as v1 does."""
    excess = read_int(folder / "memory.current") - wanted
    if excess > 0:
        goes, most = _swap_free(), folder / "memory.swap.max"
        if most.exists():
            goes = min(goes, max(read_int(most) - read_int(folder / "memory.swap.current"), 0))
        _check("memory", wanted, folder / "memory.current", fields=("anon", "shmem"), goes=goes)
        with suppress(OSError):  # EAGAIN says that less went
            (folder / "memory.reclaim").write_text(str(excess))
        if read_int(folder / "memory.current") > wanted:
            raise _too_full("memory", wanted, read_int(folder / "memory.current"))


def _set_memory_v1(memory: Path, limits: Limits) -> None:
    """Both or none: with one of them alone, another amount of swap than before would be in force."""
    names = [_MEMORY_V1]
    values = {_MEMORY_V1: limits.memory_bytes}
    if (memory / _BOTH_V1).exists():
        names.append(_BOTH_V1)
        values[_BOTH_V1] = limits.memory_bytes + limits.swap_bytes
    _check_v1(memory, values)
    # memory <= memory+swap must hold after each write: which goes first depends on where they were.
    if limits.memory_bytes > read_int(memory / names[-1]):
        names.reverse()
    before = {name: read_int(memory / name) for name in names}
    for name in names:
        try:
            write(memory / name, values[name])
        except HostProblem as problem:
            for written in reversed(names[: names.index(name)]):  # where there is swap, the first was met
                write(memory / written, before[written])
            if is_refusal(problem, errno.EBUSY):
                used = read_int(_usage_v1(memory / name))
                raise _too_full(_WORDS_V1[name], values[name], used) from problem
            raise


def _set_tcp_v1(file: Path, wanted: int) -> None:
    """Connections hold more than the limit at times, which slows them down; the kernel takes none that is less
    than what they hold, not even the one that is there."""
    if not file.exists() or read_int(file) // PAGE == wanted // PAGE:
        return
    try:
        write(file, wanted)
    except HostProblem as problem:
        if not is_refusal(problem, errno.EBUSY):
            raise
        raise _too_full("TCP's buffers", wanted, read_int(_usage_v1(file))) from problem


def _check_v1(memory: Path, wanted: Mapping[str, int]) -> None:
    """As `_check`. To meet the first of both, the kernel would swap, and only then refuse the second."""
    kinds = {_MEMORY_V1: ("rss", "shmem"), _BOTH_V1: ("rss", "shmem", "swap")}
    for name, value in wanted.items():
        goes = _swap_free() if name == _MEMORY_V1 else 0
        fields = [f"total_{kind}" for kind in kinds[name]]
        _check(_WORDS_V1[name], value, _usage_v1(memory / name), fields=fields, goes=goes)


def _usage_v1(limit: Path) -> Path:
    return limit.with_name(limit.name.replace("limit", "usage"))


def _check(what: str, wanted: int, usage: Path, *, fields: Iterable[str], goes: int) -> None:
    """Refuse what the kernel would refuse only after it has dropped all cache and swapped what it can, at each
    try. `fields` of memory.stat are what cannot be dropped, `goes` is how many bytes of it swap could take.
    They may be seconds old, and the usage has the cache in it: the less of both is held for certain."""
    used, stat = read_int(usage), usage.with_name("memory.stat")
    if used <= wanted:
        return
    also_on_swap = max(read_field(stat, name) for name in ("swapcached", "total_swapcached"))
    held = min(used, sum(read_field(stat, name) for name in fields) - also_on_swap)
    if held - goes > wanted:
        raise _too_full(what, wanted, held)


def _swap_free() -> int:
    return read_field(Path("/proc/meminfo"), "SwapFree:") * 1024


def _too_full(what: str, wanted: int, held: int) -> LimitRefused:
    return LimitRefused(
        f"{what} cannot be limited to {wanted // MIB:,} MiB: what runs holds {-(-held // MIB):,} MiB",
        hint="stop some of it first, or choose a higher limit",
    )


def _set_cpu_v1(folder: Path, quota: int) -> None:
    """v1 refuses a parent with less than any descendant's: those come down first, the deepest before all."""
    *below, itself = deepest_first(folder)
    for child in below:
        if read_int(child / "cpu.cfs_quota_us") > quota:
            write(child / "cpu.cfs_quota_us", quota)
    try:
        # A child that was removed just now counts until the kernel has forgotten it.
        patiently(lambda: write(itself / "cpu.cfs_quota_us", quota), errno.EINVAL)
    except HostProblem as problem:
        if not is_refusal(problem, errno.EINVAL):
            raise
        millis = quota * 1000 // CPU_PERIOD_USEC
        summary = f"processors cannot be limited to {millis / 1000:g}: what it is part of has less"
        raise LimitRefused(summary, hint="choose a lower limit, or raise the other one") from problem


def deepest_first(folder: Path) -> Iterator[Path]:
    for place, _, _ in os.walk(folder, topdown=False):
        yield Path(place)


def patiently(action: Callable[[], None], refusal: int) -> None:
    """Try again for a few seconds while the kernel refuses with the error number `refusal`."""
    for pause in (0.001, 0.01, 0.05, 0.2, 0.5, 1.0, 2.0):
        try:
            return action()
        except HostProblem as problem:
            if not is_refusal(problem, refusal):
                raise
        time.sleep(pause)
    return action()


def is_refusal(problem: HostProblem, number: int) -> bool:
    """Whether the kernel's own answer was the error `number`."""
    return isinstance(problem.__cause__, OSError) and problem.__cause__.errno == number


def write(file: Path, value: int | str) -> None:
    try:
        file.write_text(str(value))
    except ProcessLookupError:
        raise
    except OSError as error:
        summary = f"the kernel did not take {value} for {file.name}: {error.strerror}"
        problem = HostProblem(summary, hint="see bin/up --check")
        problem.add_note(f"written to {file}")  # for the log: tenants read the summary
        raise problem from error


def read_int(file: Path) -> int:
    """0 when it is not there, or holds no number."""
    try:
        text = file.read_text().strip()
    except (FileNotFoundError, OSError):
        return 0
    return int(text) if text.lstrip("-").isdigit() else 0


def read_field(file: Path, name: str) -> int:
    """The number after `name` in a flat-keyed file; 0 when either is absent."""
    try:
        lines: Iterable[str] = file.read_text().splitlines()
    except (FileNotFoundError, OSError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
