"""Writing the memory of a cgroup that stands still to swap: its processes' own before any file's.

Files' pages are often charged to whoever read a shared layer first, and its neighbours run from them.
Sources: cgroup-v2.rst (memory.reclaim), cgroup-v1/memory.rst, process_madvise(2), mm/vmscan.c.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path

from paas.linux.cgroup_limits import read_field, read_int
from paas.linux.cgroups import Cgroup

# Between two of them it is asked whether to go on. The smaller, the more often the kernel finds files that it
# would rather take (cache_trim_mode in mm/vmscan.c).
STEP = 16 * 1024 * 1024
ENOUGH = 256 * 1024  # what is left of it is not worth another step
_ROUNDS_IN_VAIN = 4
WRITING_SECONDS = 0.02
_SYS_PROCESS_MADVISE, _MADV_PAGEOUT, _IOV_MAX = 440, 21, 1024
_RANGE = struct.Struct("QQ")
_libc = ctypes.CDLL(None, use_errno=True)


def page_out(cgroup: Cgroup, note: Path, go_on: Callable[[], bool], *, but: int = 0) -> None:
    """As much of it as goes but so many bytes, which are what was used last, while `go_on` says so. Where there
    is no swap, nothing does. A v2 kernel before 6.9 cannot leave the used, and does nothing if it is to.

    v1 has no other way than a limit below what is used. It is put back at once; `note` holds the former one
    meanwhile, for `mend` after a crash.
    """
    if cgroup.tree.version == 2:
        _page_out_v2(cgroup, go_on, but)
    else:
        _page_out_v1(cgroup.folder("memory"), note, go_on, but)


def mend(cgroup: Cgroup, note: Path) -> None:
    """Put back the limit of which a `page_out` that was killed left a note. None is the usual case."""
    with suppress(FileNotFoundError):
        former = note.read_text()
        if former:
            _try_to_write(cgroup.folder("memory") / "memory.limit_in_bytes", former)
        note.unlink()


# --- v2


def _page_out_v2(cgroup: Cgroup, go_on: Callable[[], bool], but: int) -> None:
    folder = cgroup.folder("memory")
    preferring = _preference(folder)
    if not preferring:
        if but:
            return
        # Before Linux 6.9 one cannot say that it is not files that are meant. What is written to swap first is
        # what goes first afterwards: its pages are clean by then, and at the end of the list.
        for pid in cgroup.pids():
            if go_on():
                page_out_process(pid)
    _step(
        lambda: read_field(folder / "memory.stat", "anon") + read_field(folder / "memory.stat", "swapcached"),
        lambda size: _try_to_write(folder / "memory.reclaim", f"{size}{preferring}"),
        go_on,
        but,
    )


def _preference(folder: Path) -> str:
    """How this kernel is told to take no file's pages, "" if not at all."""
    for wish in (" swappiness=max", " swappiness=200"):
        if _try_to_write(folder / "memory.reclaim", f"4096{wish}") != errno.EINVAL:
            return wish
    return ""


def page_out_process(pid: int) -> None:
    """Ask for the pages that one process alone has: those that it shares with a parent are left alone. One that
    has ended is fine."""
    with suppress(OSError):
        ranges = list(_private(Path(f"/proc/{pid}/maps").read_bytes().decode(errors="replace")))
        fd = os.pidfd_open(pid)
        try:
            for at in range(0, len(ranges), _IOV_MAX):
                some = ranges[at : at + _IOV_MAX]
                vector = ctypes.create_string_buffer(b"".join(_RANGE.pack(a, b - a) for a, b in some))
                _libc.syscall(
                    _SYS_PROCESS_MADVISE,
                    fd,
                    vector,
                    ctypes.c_size_t(len(some)),
                    _MADV_PAGEOUT,
                    ctypes.c_uint(0),
                )
        finally:
            os.close(fd)


def _private(maps: str) -> Iterator[tuple[int, int]]:
    """Of a /proc/PID/maps (proc(5)): memory of no file, and what was written to a private copy of one. What the
    dynamic linker wrote and then protected lies before what is still written to (ld(1), -z relro)."""
    lines = [line.split(maxsplit=5) for line in maps.split("\n")[:-1]]
    for (where, rights, _, _, inode, *name), following in zip_longest(lines, lines[1:]):
        is_relro = rights == "r--p" and following is not None and following[1::3] == ["rw-p", inode]
        own = inode == "0" or "w" in rights or is_relro
        if rights[3] == "p" and own and not (name and name[0].startswith("[v")):
            begin, _, end = where.partition("-")
            yield int(begin, 16), int(end, 16)


# --- v1


def _page_out_v1(folder: Path, note: Path, go_on: Callable[[], bool], but: int) -> None:
    limit, swappiness = folder / "memory.limit_in_bytes", folder / "memory.swappiness"
    former, inclined = limit.read_text().strip(), swappiness.read_text().strip()
    note.write_text(former)
    _try_to_write(swappiness, "200")
    try:
        _step(
            lambda: sum(read_field(folder / "memory.stat", of) for of in ("rss", "swapcached")),
            lambda size: _squeeze(folder, limit, former, size),
            go_on,
            but,
        )
    finally:
        _try_to_write(swappiness, inclined)
        note.unlink(missing_ok=True)


def _squeeze(folder: Path, limit: Path, former: str, size: int) -> None:
    used = read_int(folder / "memory.usage_in_bytes")
    try:
        _try_to_write(limit, str(max(used - size, 4096)))  # reclaims first; refused unless the rest then fits
    finally:
        _try_to_write(limit, former)


# --- both


def _step(left: Callable[[], int], take: Callable[[int], object], go_on: Callable[[], bool], but: int) -> None:
    """Reading memory.stat also brings up to date the counts by which the kernel decides whether to look through
    pages that it took for active: without that, it would find nothing to do and leave a fifth."""
    before, in_vain = left(), 0
    while before > but + ENOUGH and in_vain < _ROUNDS_IN_VAIN and go_on():
        take(min(before - but, STEP))
        now = left()
        in_vain = 0 if now < before - ENOUGH else in_vain + 1
        if in_vain:
            time.sleep(WRITING_SECONDS)  # what is on its way to the disk goes when it is there
        before = now


def _try_to_write(file: Path, text: str) -> int:
    """In one write(2); its errno, 0 if there is none."""
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        return error.errno or 0
    return 0
