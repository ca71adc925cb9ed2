"""Berth's own swap file, for those who ask for one: where sleeping apps keep their memory.

Swap is the whole machine's, whoever made it. So nothing is done unless BERTH_SWAP says a size; a swap that the
operator made is left alone, and ours goes with `bin/down --all` (swapon(8), mkswap(8)).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from paas.errors import BadInput, CommandFailed, HostProblem
from paas.host.installation import Installation
from paas.linux.command import run

MIB = 1024 * 1024
LEAST = 64 * MIB
AUTO = "auto"
_SIZE = re.compile(r"(\d{1,9})([MG])")
_SWAPS = Path("/proc/swaps")


def parse(text: str) -> int | None:
    """Bytes of "8G", "512M" or "0"; None for "auto". Errors: BadInput."""
    if text == AUTO:
        return None
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * MIB * (1024 if match[2] == "G" else 1) if match else 0
    if (match and size < LEAST) or (not match and text != "0"):
        raise BadInput(
            f"BERTH_SWAP: {text[:40]!r} is not a size of swap",
            hint="Write 8G or 512M (64M at least), auto, or 0 for none.",
        )
    return size


def sane(memory: int, free: int) -> int:
    """As much as there is memory, but no more than a quarter of the disk's free space; whole GiB. Pure."""
    size = min(memory, free // 4) // (1024 * MIB) * (1024 * MIB)
    if not size:
        raise HostProblem(
            "BERTH_SWAP: auto finds no room for 1 GiB of swap in a quarter of the free disk",
            hint="Free some, or name a smaller size.",
        )
    return size


def ensure(installation: Installation, wanted: str, note: Callable[[str], None]) -> None:
    """Have the file as large as `wanted` says, and in use. Changes nothing where it is so already."""
    file, size = installation.swap, parse(wanted)
    there = file.stat().st_size if file.exists() else 0
    if size is None:
        size = there or sane(_memory(), shutil.disk_usage(file.parent).free)
    if there != size:
        remove(installation)
        if size:
            note(f"making {size // MIB:,} MiB")
            _make(file, size)
    if size and not is_on(file):
        _turn_on(file)


def off(installation: Installation) -> None:
    """What is in it goes back to memory. Errors: HostProblem where there is no room for that."""
    if not is_on(installation.swap):
        return
    try:
        run(["swapoff", installation.swap], timeout=900)
    except CommandFailed as error:
        raise HostProblem(
            f"cannot stop using {installation.swap} as swap: {error.stderr.strip()}",
            hint="Stop some apps, so that what is in it fits into memory, and try again.",
        ) from error


def remove(installation: Installation) -> None:
    off(installation)
    installation.swap.unlink(missing_ok=True)


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


def _turn_on(file: Path) -> None:
    try:
        run(["swapon", file])
    except CommandFailed as error:
        raise HostProblem(
            f"this machine cannot swap to {file}: {error.stderr.strip()}",
            hint="Say BERTH_SWAP=0, and give the machine a swap partition or zram instead.",
        ) from error
