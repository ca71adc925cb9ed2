"""Control groups, v2 and v1 alike: limits, usage, processes, freezing, killing, removing.

A `Cgroup` is a name like `/berth/<tenant>/<container>` in a `Tree`. On v2 it is one folder, on v1 one
in each hierarchy. Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/*.rst.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from _thread import start_new_thread
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from paas.errors import HostProblem
from paas.linux import cgroup_limits
from paas.linux.cgroup_limits import deepest_first, patiently, read_field, read_int, write
from paas.linux.processes import is_of_the_kernel
from paas.specs import Effective, Limits, Usage

MOUNT_POINT = Path("/sys/fs/cgroup")
# On v1 crun makes a folder for each container here as well: in the v2 tree, or whatever is here instead.
UNIFIED = MOUNT_POINT / "unified"
PAGE = 4096
WANTED = ("cpu", "memory", "pids", "io", "cpuset")
# Where limits are kept: what a slice needs on v1; the runtime adds the other hierarchies for containers.
LIMITING = ("cpu", "memory", "pids")


@dataclass(frozen=True, slots=True)
class Tree:
    """How this host mounts cgroups. `roots`: (controller, mount point); on v2 one pair for each controller."""

    version: Literal[1, 2]
    roots: tuple[tuple[str, Path], ...]

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(root for _, root in self.roots))

    @property
    def controllers(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.roots)

    def root(self, controller: str) -> Path:
        for name, root in self.roots:
            if name == controller:
                return root
        raise HostProblem(
            f"cgroup controller {controller} is not there",
            hint=f"boot with cgroup_enable={controller}; see bin/up --check",
        )


def parse_mountinfo(text: str) -> list[tuple[Path, str, frozenset[str]]]:
    """(mount point, type, super options) of every cgroup mount in a /proc/PID/mountinfo (proc(5))."""
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            found.append((Path(left.split()[4]), kind, frozenset(options.split(","))))
    return found


def detect(mountinfo: str, v2_controllers: str) -> Tree:
    """The tree that a mountinfo describes. v2 counts where it is mounted at /sys/fs/cgroup itself."""
    found = parse_mountinfo(mountinfo)
    if any(point == MOUNT_POINT and kind == "cgroup2" for point, kind, _ in found):
        return Tree(2, tuple((name, MOUNT_POINT) for name in v2_controllers.split()))
    roots: dict[str, Path] = {}
    for point, kind, options in found:
        if kind == "cgroup":
            for name in options - {"rw", "ro", "xattr", "clone_children", "noprefix"}:
                if "=" not in name or name.startswith("name="):
                    roots.setdefault(name, point)
    return Tree(1, tuple(sorted(roots.items())))


@cache
def host_tree() -> Tree:
    """This host's tree, read once: it does not change while a system runs."""
    controllers = MOUNT_POINT / "cgroup.controllers"
    text = controllers.read_text() if controllers.exists() else ""
    return detect(Path("/proc/self/mountinfo").read_text(), text)


def unified_beside_v1() -> Path | None:
    """Where a v2 tree is mounted beside v1 and owns a controller, which makes crun decline the host."""
    found = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    if not any(kind == "cgroup" for _, kind, _ in found):
        return None
    for point, kind, _ in found:
        if kind == "cgroup2" and (point / "cgroup.controllers").read_text().strip():
            return point
    return None


def swap_accounting(tree: Tree) -> bool:
    """Whether a limit on swap can be set (v1 needs swapaccount=1 on some kernels)."""
    if tree.version == 1:
        return (tree.root("memory") / "memory.memsw.usage_in_bytes").exists()
    # In every cgroup that memory is controlled in, and none need be yet; in the root one only for a namespace.
    root = tree.root("memory")
    limited = [*root.glob("memory.max"), *root.glob("*/memory.max")]
    return not limited or any(file.with_name("memory.swap.max").exists() for file in limited)


def io_throttling(tree: Tree) -> bool:
    """Whether a limit on the use of a disk can be set."""
    if tree.version == 1:
        return "blkio" in tree.controllers and (tree.root("blkio") / cgroup_limits.IO_MAX_V1).exists()
    if "io" not in tree.controllers:
        return False
    # As for swap: io.stat is wherever disks are controlled.
    controlled = list(tree.root("io").glob("*/io.stat"))
    return not controlled or any(file.with_name(cgroup_limits.IO_MAX).exists() for file in controlled)


def expect_moves() -> None:
    """Begin now, beside the caller, the wait that the first move of a process costs (see `Cgroup.attach`): a
    thread moves us to where we are, which takes the kernel the same lock. Nobody waits until it runs."""
    start_new_thread(_move_nowhere, ())


def _move_nowhere() -> None:
    controller, root = host_tree().roots[0]
    wanted = controller if host_tree().version == 1 else ""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if wanted in controllers.split(","):
            with suppress(OSError):  # only its wait is wanted
                (root / own.lstrip("/") / "cgroup.procs").write_text("0")


class Cgroup:
    """One cgroup by its name from the tree's root. Makes nothing until asked to."""

    def __init__(self, name: str, tree: Tree | None = None) -> None:
        if not name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"not a cgroup's name: {name!r}")
        self.name, self.tree = name.rstrip("/"), tree or host_tree()

    def __repr__(self) -> str:
        return f"Cgroup({self.name!r}, v{self.tree.version})"

    @property
    def folders(self) -> list[Path]:
        """Its folder in every hierarchy, there or not."""
        return [root / self.name[1:] for root in self.tree.folders]

    def folder(self, controller: str) -> Path:
        return self.tree.root(controller) / self.name[1:]

    @property
    def io(self) -> Path | None:
        """Its folder where disks are shared and limited; None where the kernel has no controller for them."""
        controller = "io" if self.tree.version == 2 else "blkio"
        return self.folder(controller) if controller in self.tree.controllers else None

    @property
    def _unified(self) -> Path:
        return UNIFIED / self.name[1:]

    def exists(self) -> bool:
        return any(folder.is_dir() for folder in self.folders)

    # --- making
    def create(self, limits: Limits | None = None) -> None:
        """Make it, and its parents, where they are not there; then set the limits."""
        if self.tree.version == 2:
            self._create_v2()
        else:
            for controller in LIMITING:
                self.folder(controller).mkdir(parents=True, exist_ok=True)
            if self.io is not None:
                self.io.mkdir(parents=True, exist_ok=True)
        if limits is not None:
            self.limit(limits)

    def _create_v2(self) -> None:
        folder = self.tree.folders[0]
        for part in self.name[1:].split("/"):
            _enable(folder, self.tree.controllers)
            folder = folder / part
            folder.mkdir(exist_ok=True)

    def limit(self, limits: Limits) -> None:
        """Set every limit but those on a disk; what runs in it keeps running.

        Errors: LimitRefused when it holds more memory; the others are set then.
        """
        refused = cgroup_limits.Refusals()
        with refused.noted():
            if self.tree.version == 2:
                cgroup_limits.set_v2(self.folders[0], limits)
            else:
                cgroup_limits.set_v1(self.folder, limits)
        self.limit_io(limits)
        refused.tell()

    def hold(self, memory_bytes: int) -> bool:
        """Let all below it together have no more memory, in whole pages; False if so already, or it is gone."""
        name = "memory.max" if self.tree.version == 2 else "memory.limit_in_bytes"
        file, wanted = self.folder("memory") / name, memory_bytes // PAGE * PAGE
        if not file.exists() or read_int(file) == wanted:
            return False
        write(file, wanted)
        return True

    def prefer(self, weight: int, low_bytes: int) -> None:
        """Its share of processors and disks beside its siblings (of 100 each), and on v2 how much of its memory
        the kernel takes for nobody else while there is other to take."""
        if self.tree.version == 2:
            write(self.folder("cpu") / "cpu.weight", weight)
            write(self.folder("memory") / "memory.low", low_bytes)
        else:
            write(self.folder("cpu") / "cpu.shares", cgroup_limits.shares_v1(weight))
        if self.io is not None:
            cgroup_limits.set_io_weight(self.io, weight)

    def limit_io(self, limits: Limits, disk: str | None = None) -> None:
        """Its share of all disks, and the limits on the one that `disk` names by its MAJOR:MINOR.

        What the kernel does not have is left out: bin/up --check tells.
        """
        if self.io is not None:
            cgroup_limits.set_io(self.io, limits, disk)

    def effective(self, disk: str | None = None) -> Effective:
        """The limits as the kernel has them now; those on a disk are of the one that `disk` names."""
        if self.tree.version == 2:
            return cgroup_limits.read_v2(self.folders[0], disk)
        return cgroup_limits.read_v1(self.folder, self.io, disk)

    def holds_io(self, limits: Limits, disk: str | None) -> bool:
        """Whether its limits on a disk are these; where no disk is known, there are none."""
        return self.io is None or disk is None or cgroup_limits.holds_io(self.io, limits, disk)

    # --- processes
    def attach(self, pid: int) -> None:
        """Move a process here; one that has ended meanwhile is fine. The first move after a quiet while waits
        for an RCU grace period, about 10 ms (percpu_down_write in kernel/cgroup/cgroup.c)."""
        for folder in self.folders:
            if folder.is_dir():
                with suppress(ProcessLookupError):
                    write(folder / "cgroup.procs", pid)

    def pids(self) -> list[int]:
        """Every process in it and below it."""
        found: dict[int, None] = {}
        for folder in self.folders:
            for place, _, files in os.walk(folder):
                if "cgroup.procs" in files:
                    found.update(dict.fromkeys(_read_pids(Path(place))))
        return list(found)

    def direct_pids(self) -> list[int]:
        """Processes in it and not below it; on v1 those in the hierarchy that counts them."""
        return _read_pids(self.folder("pids"))

    def pids_of_io(self) -> list[int]:
        """Processes whose use of disks is its own, and not below it."""
        return _read_pids(self.io) if self.io is not None else []

    def kill(self, timeout: float = 10.0) -> None:
        """SIGKILL everything in it, frozen or not, and wait until it is empty. The kernel's own threads go to
        the root."""
        end = time.monotonic() + timeout
        pause = 0.001
        while self.pids():
            self._kill_once()
            if time.monotonic() > end:
                raise HostProblem(
                    f"processes in {self.name} do not die: {self.pids()[:5]}",
                    hint="a process in uninterruptible sleep waits for a device; look at dmesg",
                    retryable=True,
                )
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _kill_once(self) -> None:
        for folder in self.folders:
            with suppress(FileNotFoundError, OSError):
                if (folder / "cgroup.kill").exists():
                    (folder / "cgroup.kill").write_text("1")
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if is_of_the_kernel(pid):
                Cgroup("/", self.tree).attach(pid)
        if self.exists():
            self.thaw()  # on v1 a frozen process takes no signal

    # --- freezing
    def freeze(self, timeout: float = 5.0, wanted: Callable[[], bool] = lambda: True) -> None:
        """Stop everything in it, and wait until all of it stands still, or is not `wanted` to any more.

        HostProblem when it does not.
        """
        self._freezer("FROZEN", "1")
        end = time.monotonic() + timeout
        while not self.is_frozen() and wanted():
            if time.monotonic() > end:
                self.thaw()
                raise HostProblem(f"processes in {self.name} do not stand still", retryable=True)
            time.sleep(0.001)

    def is_frozen(self) -> bool:
        """Whether all of it stands still; so does nothing at all."""
        if self.tree.version == 2:
            return read_field(self.folders[0] / "cgroup.events", "frozen") == 1
        state = self.folder("freezer") / "freezer.state"
        return not state.exists() or state.read_text().strip() == "FROZEN"

    def thaw(self) -> None:
        self._freezer("THAWED", "0")

    def _freezer(self, v1: str, v2: str) -> None:
        file, value = (
            (self.folders[0] / "cgroup.freeze", v2)
            if self.tree.version == 2
            else (self.folder("freezer") / "freezer.state", v1)
        )
        with suppress(FileNotFoundError):
            file.write_text(value)

    # --- looking
    def usage(self) -> Usage:
        """Memory less the file cache that can go at once (as Docker counts it). Zeros when absent."""
        if self.tree.version == 2:
            folder = self.folder("memory")
            used = read_int(folder / "memory.current") - read_field(folder / "memory.stat", "inactive_file")
            cpu = read_field(folder / "cpu.stat", "usage_usec")
        else:
            memory = self.folder("memory")
            used = read_int(memory / "memory.usage_in_bytes")
            used -= read_field(memory / "memory.stat", "total_inactive_file")
            cpu = read_int(self.folder("cpuacct") / "cpuacct.usage") // 1000
        pids = read_int(self.folder("pids") / "pids.current")
        return Usage(memory_bytes=max(used, 0), cpu_usec=cpu, pids=pids, oom_kills=self.oom_kills())

    def oom_kills(self) -> int:
        """Processes of it that the kernel killed for want of memory, by its own or a parent's limit."""
        folder = self.folder("memory")
        name = "memory.events" if self.tree.version == 2 else "memory.oom_control"
        return read_field(folder / name, "oom_kill")

    # --- removing
    def remove(self) -> None:
        """Remove it and all below it, in every hierarchy. It must hold no process (see kill)."""
        for folder in (*self.folders, self._unified):
            for place in deepest_first(folder):
                with suppress(OSError):  # in a v2 tree it cannot, and need not, be removed
                    (place / "cgroup.procs").unlink()
                _rmdir(place)

    def remove_if_empty(self) -> None:
        """Remove it unless it has children or processes."""
        for folder in (*self.folders, self._unified):
            with suppress(FileNotFoundError, OSError):
                folder.rmdir()


def _enable(folder: Path, available: frozenset[str]) -> None:
    """Have the controllers in the children: one write, which the kernel takes whole or not at all."""
    on = (folder / "cgroup.subtree_control").read_text().split()
    missing = [f"+{name}" for name in WANTED if name in available and name not in on]
    if missing:
        write(folder / "cgroup.subtree_control", " ".join(missing))


def _rmdir(folder: Path) -> None:
    """rmdir; the kernel may hold a cgroup for a moment after its last process was reaped."""

    def remove() -> None:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            summary = f"cannot remove cgroup {folder.name}: {error.strerror}"
            raise HostProblem(summary, retryable=True) from error

    patiently(remove, errno.EBUSY)


def _read_pids(folder: Path) -> list[int]:
    try:
        return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    except (FileNotFoundError, OSError):
        return []
