"""How full the machine's disk is, and what does not begin on one that is almost full."""

from __future__ import annotations

import os

from django.conf import settings

from paas.errors import HostProblem

ALMOST_FULL = 95  # percent


def used() -> float:
    """Percent of the state folder's disk, as df(1) has it: of its bytes or, if that is more, of its files."""
    found = os.statvfs(settings.PATHS.state)
    blocks = _percent(found.f_blocks - found.f_bfree, found.f_bavail)
    return max(blocks, _percent(found.f_files - found.f_ffree, found.f_favail))


def _percent(used: int, free: int) -> float:
    return 100 * used / (used + free) if used else 0.0  # btrfs counts no files


def is_almost_full() -> bool:
    return used() >= ALMOST_FULL


def demand_room(what: str) -> None:
    """For what would write to the image store. What runs, restarts or rolls back needs the rest of the disk."""
    if is_almost_full():
        raise HostProblem(
            f"no room for {what}: this machine's disk is {used():.0f} % full, and the rest is for what runs",
            hint="ask an administrator to prune the image store (its page is under Machine), then try again",
            retryable=True,
        )
