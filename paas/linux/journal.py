"""The journal of an ext4 file system that is one owner's alone, written as part of a cgroup of that owner's.

A thread of the kernel's writes it (jbd2), and does so as the root cgroup, whoever made that necessary. Like a
process such a thread may be moved, unless it is bound to a processor. It takes no signal, so nobody ends it.

Since Linux 6.12 metadata passes a limit at once, and is a debt that the cgroup's other requests pay. On v1
these must be the owner's: the root's are what is written back later, for which anybody's sync(2) waits. On v2
the latter are the owner's too, so that there the journal stays where it is. Before 6.12 it waits like anything
else: v2 has it within the owner's quota, and v1 within the root's limit (paas.linux.writeback).
Sources: jbd2_journal_init_inode in fs/jbd2/journal.c, cgroup_procs_write_start in kernel/cgroup/cgroup.c,
bio_issue_as_root_blkg in block/blk-throttle.c.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from paas.linux import io_group
from paas.linux.cgroups import Cgroup
from paas.linux.processes import is_of_the_kernel

METADATA_PASSES = (6, 12)
_THREADS = Path("/proc/2/task/2/children")  # of the kernel, as its first one has made them all
_COMM = 15  # characters that are kept of a thread's name
_INODE = 8  # EXT4_JOURNAL_INO in fs/ext4/ext4.h


def charge(disk: Path, owner: Cgroup) -> None:
    """Have the journal on a disk, by its /sys folder, count as the owner's from now on, where it is to. Does
    nothing where it does, or where no thread is seen. Errors: HostProblem."""
    if is_charged(disk, owner):
        return
    place = _place(owner)
    place.create()
    for thread in _threads(disk):
        io_group.admit(thread, place)


def is_charged(disk: Path, owner: Cgroup) -> bool:
    """Whether it does; True where it is not to, or cannot."""
    if not belongs_to_owner(owner) or any(_writes(pid, disk) for pid in _place(owner).pids_of_io()):
        return True
    return not _threads(disk)


def belongs_to_owner(owner: Cgroup) -> bool:
    """Whether it is to count there, on this host."""
    return owner.io is not None and (owner.tree.version == 1) == (_kernel() >= METADATA_PASSES)


def _place(owner: Cgroup) -> Cgroup:
    """Itself on v1; on v2 a cgroup with others below it has no process."""
    return owner if owner.tree.version == 1 else Cgroup(f"{owner.name}/journal", owner.tree)


@cache
def _kernel() -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2])


def _threads(disk: Path) -> list[int]:
    """At most one, of some hundred to look through."""
    pids = map(int, _THREADS.read_text().split()) if _THREADS.exists() else ()
    return [pid for pid in pids if _writes(pid, disk)]


def _writes(pid: int, disk: Path) -> bool:
    """A thread has the device's name in its own. A tenant's process may call itself so."""
    try:
        name = Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n")
    except OSError:  # it ended
        return False
    return name == f"jbd2/{disk.name}-{_INODE}"[:_COMM].encode() and is_of_the_kernel(pid)
