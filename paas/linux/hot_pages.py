"""Which pages of their own a cgroup's processes have in memory, and fetching these from swap side by side.

A process that wakes touches one page after the other, and waits for the disk at each. What it had in memory
when it fell asleep is what it needed since its last wake. Before its first sleep all is there that its start
took: of that it is known how much was used since `forget`, and what was not the kernel takes first.
Sources: pagemap.rst, process_madvise(2), proc(5) (clear_refs, smaps).
"""

from __future__ import annotations

import array
import ctypes
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import NamedTuple

PAGE = os.sysconf("SC_PAGE_SIZE")
MOST = 64 * 1024 * 1024  # bytes, of its processes together
_PRESENT, _SWAPPED, _OF_A_FILE = 1 << 63, 1 << 62, 1 << 61  # bits of a pagemap entry
_SWAP, _PLACE = 1 << 5, 1 << 50  # of one that is swapped: bits 0-4 which swap, 5-54 where in it
_PROCESS_MADVISE, _MADV_WILLNEED, _IOV_MAX = 440, 3, 1024
_PAGES_ARE_UNUSED = "1"  # to clear_refs
_libc = ctypes.CDLL(None, use_errno=True)


class Range(NamedTuple):
    """Of a process's memory, in bytes."""

    pid: int
    begin: int
    end: int


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
            found += _used(_text(pid, "smaps"))
    return found


def _used(smaps: str) -> int:
    found = {name: re.findall(rf"^{name}: +(\d+) kB$", smaps, re.M) for name in ("Referenced", "Anonymous")}
    pairs = zip(found["Referenced"], found["Anonymous"], strict=True)
    return sum(min(int(referenced), int(own)) for referenced, own in pairs) * 1024


def note(pids: Iterable[int], file: Path) -> None:
    """Write it down, who was born last first: a server's workers answer, not their parent. Nothing is written
    where it is too much: then nothing is fetched ahead, and what the next wake needs is known afterwards."""
    found = [Range(pid, *each) for pid in sorted(pids, reverse=True) for each in _resident(pid)]
    file.unlink(missing_ok=True)
    if sum(each.end - each.begin for each in found) <= MOST:
        _write(file, found)


def arrange(file: Path) -> None:
    """What was noted, as it came to lie in swap: so the disk reads much at once, and nothing twice that
    processes share. 28 MiB from a disk that had not read them for long: 80 ms instead of 280."""
    found: dict[int, Range] = {}
    for each in _read(file):
        for place, address in _in_swap(each):
            found.setdefault(place, Range(each.pid, address, address + PAGE))
    if found:
        _write(file, _joined(found[place] for place in sorted(found)))


def fetch(file: Path) -> None:
    """Have the kernel begin to read all that was noted. No note is fine, and so is a process that has ended.
    Errors, of the last one after all were tried: OSError; ValueError and OverflowError of a note that makes no
    sense."""
    refused: OSError | None = None
    for pid, ranges in groupby(_read(file), key=lambda each: each.pid):
        try:
            _will_need(pid, ranges)
        except ProcessLookupError:
            pass
        except OSError as error:
            refused = error
    if refused:
        raise refused


def _write(file: Path, ranges: Iterable[Range]) -> None:
    new = file.with_name(f".{file.name}")  # whoever wakes it meanwhile reads a whole note
    new.write_bytes(array.array("Q", chain.from_iterable(ranges)).tobytes())
    new.rename(file)


def _read(file: Path) -> list[Range]:
    numbers = array.array("Q")
    with suppress(FileNotFoundError):
        numbers.frombytes(file.read_bytes())
    return [Range(*each) for each in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)]


def _joined(ranges: Iterable[Range]) -> Iterator[Range]:
    """Neighbours as one."""
    last: Range | None = None
    for each in ranges:
        if last and (last.pid, last.end) == (each.pid, each.begin):
            last = Range(last.pid, last.begin, each.end)
            continue
        if last:
            yield last
        last = each
    if last:
        yield last


def _in_swap(where: Range) -> Iterator[tuple[int, int]]:
    """(place, address) of each page that is in swap; neighbours there have places that follow each other."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for number, entry in enumerate(_entries(where.pid, where.begin, where.end)):
            if entry & _SWAPPED:
                yield entry % _SWAP * _PLACE + entry // _SWAP % _PLACE, where.begin + number * PAGE


def _will_need(pid: int, ranges: Iterable[Range]) -> None:
    # struct iovec is an address and a length
    vector = array.array("Q", chain.from_iterable((each.begin, each.end - each.begin) for each in ranges))
    fd = os.pidfd_open(pid)
    try:
        for first in range(0, len(vector), 2 * _IOV_MAX):
            some = vector[first : first + 2 * _IOV_MAX]
            pointer = ctypes.c_void_p(some.buffer_info()[0])
            count = ctypes.c_size_t(len(some) // 2)
            done = _libc.syscall(_PROCESS_MADVISE, fd, pointer, count, _MADV_WILLNEED, ctypes.c_uint(0))
            # It runs by now, and may have given back what was noted (ENOMEM).
            if done < 0 and (number := ctypes.get_errno()) != errno.ENOMEM:
                raise OSError(number, f"process_madvise: {os.strerror(number)}")
    finally:
        os.close(fd)


def _resident(pid: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of each run of pages that are in memory and no file's."""
    with suppress(FileNotFoundError, ProcessLookupError):
        maps = _text(pid, "maps")
        for begin, end in _writable(maps):
            yield from _runs(begin, _entries(pid, begin, end))


def _text(pid: int, name: str) -> str:
    """What is mapped may be called anything; line feeds alone are escaped (show_map_vma, task_mmu.c)."""
    return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")


def _entries(pid: int, begin: int, end: int) -> array.array[int]:
    entries = array.array("Q")
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        entries.frombytes(os.pread(pagemap.fileno(), (end - begin) // PAGE * 8, begin // PAGE * 8))
    return entries


def _writable(maps: str) -> Iterator[tuple[int, int]]:
    """Where memory of no file's may be, of a /proc/PID/maps (proc(5))."""
    for line in maps.split("\n")[:-1]:
        where, rights, *_ = line.split(maxsplit=2)
        if rights[1] == "w" and rights[3] == "p":
            begin, _, end = where.partition("-")
            yield int(begin, 16), int(end, 16)


def _runs(begin: int, entries: Iterable[int]) -> Iterator[tuple[int, int]]:
    is_here = [False, *(bool(entry & _PRESENT and not entry & _OF_A_FILE) for entry in entries), False]
    edges = [at for at, (before, now) in enumerate(pairwise(is_here)) if before != now]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield begin + first * PAGE, begin + last * PAGE
