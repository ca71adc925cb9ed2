"""Berth's own swap, for those who ask for some, where sleepers keep their memory: a file, or memory (zram).

Swap is the whole machine's, whoever made it. So nothing is done unless BERTH_SWAP says a size; a swap that the
operator made is left alone, and ours goes with `bin/down --all` (swapon(8), mkswap(8)).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.errors import BadInput, CommandFailed, HostProblem
from paas.host import zram
from paas.host.installation import Installation
from paas.linux.command import run

MIB = 1024 * 1024
LEAST = 64 * MIB
AUTO, ZRAM = "auto", "zram"
FIRST = ("-p", "100")  # what is in memory is used before what is on a disk
_SIZE = re.compile(r"(\d{1,9})([MG])")
_SWAPS = Path("/proc/swaps")


@dataclass(frozen=True, slots=True)
class Wanted:
    """`size` in bytes, None for a sane one; in memory or in a file."""

    size: int | None
    in_memory: bool = False


def parse(text: str) -> Wanted:
    """Of "8G", "512M", "auto", "zram", "zram:4G" or "0". Errors: BadInput."""
    kind, _, rest = text.partition(":")
    if text in (AUTO, ZRAM):
        return Wanted(None, text == ZRAM)
    match = _SIZE.fullmatch(rest if kind == ZRAM else text)
    size = int(match[1]) * MIB * (1024 if match[2] == "G" else 1) if match else 0
    if (match and size < LEAST) or (not match and text != "0"):
        raise BadInput(
            f"BERTH_SWAP: {text[:40]!r} is not a size of swap",
            hint="Write 8G or 512M (64M at least), auto, zram or zram:4G for compressed memory, or 0 for none.",
        )
    return Wanted(size, kind == ZRAM)


def sane(memory: int, free: int) -> int:
    """As much as there is memory, but no more than a quarter of the disk's free space; whole GiB. Pure."""
    size = min(memory, free // 4) // (1024 * MIB) * (1024 * MIB)
    if not size:
        raise HostProblem(
            "BERTH_SWAP: auto finds no room for 1 GiB of swap in a quarter of the free disk",
            hint="Free some, or name a smaller size.",
        )
    return size


def sane_in_memory(memory: int) -> int:
    """Half as much as there is memory, of which it takes less by how well pages compress. Whole MiB. Pure."""
    return memory // 2 // MIB * MIB


def ensure(installation: Installation, wanted: str, note: Callable[[str], None]) -> None:
    """Have as much as `wanted` says, there, and in use. Changes nothing where it is so already."""
    asked = parse(wanted)
    if asked.in_memory:
        _remove_file(installation)
        _ensure_in_memory(installation, asked.size, note)
    else:
        _remove_from_memory(installation)
        _ensure_file(installation, asked.size, note)


def _ensure_file(installation: Installation, size: int | None, note: Callable[[str], None]) -> None:
    file = installation.swap
    there = file.stat().st_size if file.exists() else 0
    if size is None:
        size = there or sane(_memory(), shutil.disk_usage(file.parent).free)
    if there != size:
        _remove_file(installation)
        if size:
            note(f"making {size // MIB:,} MiB")
            _make(file, size)
    if size and not is_on(file):
        _turn_on(file)


def _ensure_in_memory(installation: Installation, size: int | None, note: Callable[[str], None]) -> None:
    device = zram.find(zram.id_of(installation.paths.state))
    there = zram.size(device) if device else 0
    if size is None:
        size = there or sane_in_memory(_memory())
    if there != size:
        _remove_from_memory(installation)
        note(f"making {size // MIB:,} MiB of compressed memory")
        device = zram.make(zram.id_of(installation.paths.state), size)
    if device and not is_on(device):
        _turn_on(device, FIRST)


def exists(installation: Installation) -> bool:
    return installation.swap.exists() or zram.find(zram.id_of(installation.paths.state)) is not None


def off(installation: Installation) -> None:
    """What is in it goes back to memory. Errors: HostProblem where there is no room for that."""
    _turn_off(installation.swap)
    _remove_from_memory(installation)


def remove(installation: Installation) -> None:
    _remove_file(installation)
    _remove_from_memory(installation)


def _remove_file(installation: Installation) -> None:
    _turn_off(installation.swap)
    installation.swap.unlink(missing_ok=True)


def _remove_from_memory(installation: Installation) -> None:
    device = zram.find(zram.id_of(installation.paths.state))
    if device:
        _turn_off(device)
        zram.remove(device)


def _turn_off(place: Path) -> None:
    if not is_on(place):
        return
    try:
        run(["swapoff", place], timeout=900)
    except CommandFailed as error:
        raise HostProblem(
            f"cannot stop using {place} as swap: {error.stderr.strip()}",
            hint="Stop some apps, so that what is in it fits into memory, and try again.",
        ) from error


def is_on(file: Path) -> bool:
    """Names in /proc/swaps are written as in mountinfo."""
    names = (line.split()[0].replace("\\040", " ") for line in _SWAPS.read_text().splitlines()[1:])
    return str(file.resolve()) in names


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _make(file: Path, size: int) -> None:
    """Under its own name only when it can be used: blocks of its own, no copy on write, for root alone."""
    free = shutil.disk_usage(file.parent).free
    if size > free * 9 // 10:
        raise HostProblem(
            f"BERTH_SWAP: {size // MIB:,} MiB do not fit: the disk has {free // MIB:,} MiB free",
            hint="Name a smaller size.",
        )
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        run(
            ["chattr", "+C", part], check=False
        )  # btrfs swaps to no other file; who knows no such flag needs none
        os.posix_fallocate(fd, 0, size)
        os.fsync(fd)
        run(["mkswap", part])
        part.rename(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _turn_on(place: Path, options: Sequence[str] = ()) -> None:
    try:
        run(["swapon", *options, place])
    except CommandFailed as error:
        raise HostProblem(
            f"this machine cannot swap to {place}: {error.stderr.strip()}",
            hint="Say --swap zram for compressed memory, or 0, and give the machine a partition for it.",
        ) from error
