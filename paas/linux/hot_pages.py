"""Which pages of their own a cgroup's processes have in memory, and fetching these from swap side by side.

A process that wakes touches one page after the other, and waits for the disk at each. What it had in memory
when it fell asleep is what it needed since its last wake. Before its first sleep all is there that its start
took: of that it is known how much was used since `forget`, and what was not the kernel takes first.
Sources: pagemap.rst, process_madvise(2), proc(5) (clear_refs, smaps).
"""

from __future__ import annotations

import array
import ctypes
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
MOST = 64 * 1024 * 1024  # bytes, of its processes together
_PRESENT, _OF_A_FILE = 1 << 63, 1 << 61  # bits of a pagemap entry
_PROCESS_MADVISE, _MADV_WILLNEED, _IOV_MAX = 440, 3, 1024
_PAGES_ARE_UNUSED = "1"  # to clear_refs
_libc = ctypes.CDLL(None, use_errno=True)


def forget(pids: Iterable[int]) -> None:
    """What they used until now does not count as used. OSError."""
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            Path(f"/proc/{pid}/clear_refs").write_text(_PAGES_ARE_UNUSED)


def used(pids: Iterable[int]) -> int:
    """Bytes of no file's that they used since `forget`, or ever. What two of them use counts twice."""
    found = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            found += _used(Path(f"/proc/{pid}/smaps").read_text())
    return found


def _used(smaps: str) -> int:
    found = {name: re.findall(rf"^{name}: +(\d+) kB$", smaps, re.M) for name in ("Referenced", "Anonymous")}
    pairs = zip(found["Referenced"], found["Anonymous"], strict=True)
    return sum(min(int(referenced), int(own)) for referenced, own in pairs) * 1024


def note(pids: Iterable[int], file: Path) -> None:
    """Write it down, who was born last first: a server's workers answer, not their parent. Nothing is written
    where it is too much: then nothing is fetched ahead, and what the next wake needs is known afterwards."""
    found = {pid: list(_resident(pid)) for pid in sorted(pids, reverse=True)}
    file.unlink(missing_ok=True)
    if sum(end - begin for ranges in found.values() for begin, end in ranges) > MOST:
        return
    numbers = array.array("Q")
    for pid, ranges in found.items():
        numbers.extend((pid, len(ranges), *(number for each in ranges for number in each)))
    file.write_bytes(numbers.tobytes())


def fetch(file: Path) -> None:
    """Have the kernel begin to read all that was noted. No note is fine, and so is a process that has ended."""
    numbers = array.array("Q")
    try:
        numbers.frombytes(file.read_bytes())
    except FileNotFoundError:
        return
    at = 0
    while at < len(numbers):
        pid, count = numbers[at : at + 2]
        ranges = numbers[at + 2 : at + 2 + 2 * count]
        at += 2 + 2 * count
        with suppress(ProcessLookupError):
            _will_need(pid, ranges)


def _will_need(pid: int, ranges: array.array[int]) -> None:
    # struct iovec is an address and a length
    vector = array.array("Q")
    for begin, end in zip(ranges[::2], ranges[1::2], strict=True):
        vector.extend((begin, end - begin))
    fd = os.pidfd_open(pid)
    try:
        for first in range(0, len(vector), 2 * _IOV_MAX):
            some = vector[first : first + 2 * _IOV_MAX]
            pointer = ctypes.c_void_p(some.buffer_info()[0])
            count = ctypes.c_size_t(len(some) // 2)
            _libc.syscall(_PROCESS_MADVISE, fd, pointer, count, _MADV_WILLNEED, ctypes.c_uint(0))
    finally:
        os.close(fd)


def _resident(pid: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of each run of pages that are in memory and no file's."""
    with suppress(FileNotFoundError, ProcessLookupError):
        maps = Path(f"/proc/{pid}/maps").read_text()
        with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
            for begin, end in _writable(maps):
                entries = array.array("Q")
                entries.frombytes(os.pread(pagemap.fileno(), (end - begin) // PAGE * 8, begin // PAGE * 8))
                yield from _runs(begin, entries)


def _writable(maps: str) -> Iterator[tuple[int, int]]:
    """Where memory of no file's may be, of a /proc/PID/maps (proc(5))."""
    for line in maps.splitlines():
        where, rights, *_ = line.split(maxsplit=2)
        if rights[1] == "w" and rights[3] == "p":
            begin, _, end = where.partition("-")
            yield int(begin, 16), int(end, 16)


def _runs(begin: int, entries: Iterable[int]) -> Iterator[tuple[int, int]]:
    is_here = [False, *(bool(entry & _PRESENT and not entry & _OF_A_FILE) for entry in entries), False]
    edges = [at for at, (before, now) in enumerate(pairwise(is_here)) if before != now]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield begin + first * PAGE, begin + last * PAGE
