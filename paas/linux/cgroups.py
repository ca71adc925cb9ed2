"""Control groups, v2 and v1 alike: limits, usage, processes, freezing, killing, removing.

A `Cgroup` is a name like `/berth/<tenant>/<app>/<container>` in a `Tree`. On v2 it is one folder, on v1 one
in each hierarchy. Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/*.rst.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Literal

from paas.errors import HostProblem
from paas.specs import Limits, Usage

MOUNT_POINT = Path("/sys/fs/cgroup")
# On v1 crun makes a folder for each container here as well: in the v2 tree, or whatever is here instead.
UNIFIED = MOUNT_POINT / "unified"
CPU_PERIOD_USEC = 100_000
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
    # memory.swap.max is in every cgroup but the root one.
    return any(MOUNT_POINT.glob("*/memory.swap.max"))


def expect_moves() -> None:
    """Begin now, beside the caller, the wait that the first move of a process costs (see `Cgroup.attach`): a
    thread moves us to where we are, which takes the kernel the same lock."""
    Thread(target=_move_nowhere, name="cgroup", daemon=True).start()


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
        if limits is not None:
            self.limit(limits)

    def _create_v2(self) -> None:
        folder = MOUNT_POINT
        for part in self.name[1:].split("/"):
            _enable(folder, self.tree.controllers)
            folder = folder / part
            folder.mkdir(exist_ok=True)

    def limit(self, limits: Limits) -> None:
        """Set every limit; what runs in it keeps running."""
        if self.tree.version == 2:
            self._limit_v2(limits)
        else:
            self._limit_v1(limits)

    def _limit_v2(self, limits: Limits) -> None:
        folder = self.folder("memory")
        _write(folder / "memory.max", limits.memory_bytes)
        if (folder / "memory.swap.max").exists():
            _write(folder / "memory.swap.max", limits.swap_bytes)
        _write(folder / "cpu.max", f"{quota_usec(limits.cpu_millis)} {CPU_PERIOD_USEC}")
        _write(folder / "cpu.weight", limits.cpu_weight)
        _write(folder / "pids.max", limits.pids)

    def _limit_v1(self, limits: Limits) -> None:
        self._limit_memory_v1(limits)
        cpu = self.folder("cpu")
        _write(cpu / "cpu.cfs_period_us", CPU_PERIOD_USEC)
        _limit_cpu_v1(cpu, quota_usec(limits.cpu_millis))
        _write(cpu / "cpu.shares", shares_v1(limits.cpu_weight))
        _write(self.folder("pids") / "pids.max", limits.pids)

    def _limit_memory_v1(self, limits: Limits) -> None:
        memory = self.folder("memory")
        names = ["memory.limit_in_bytes"]
        if (memory / "memory.memsw.limit_in_bytes").exists():
            names.append("memory.memsw.limit_in_bytes")
        values = {names[0]: limits.memory_bytes, names[-1]: limits.memory_bytes + limits.swap_bytes}
        if len(names) == 1:
            values = {names[0]: limits.memory_bytes}
        # memory <= memory+swap must hold after each write: which goes first depends on where they were.
        if limits.memory_bytes > _read_int(memory / names[-1]):
            names.reverse()
        for name in names:
            _write(memory / name, values[name])

    # --- processes
    def attach(self, pid: int) -> None:
        """Move a process here; one that has ended meanwhile is fine. The first move after a quiet while waits
        for an RCU grace period, about 10 ms (percpu_down_write in kernel/cgroup/cgroup.c)."""
        for folder in self.folders:
            if folder.is_dir():
                with suppress(ProcessLookupError):
                    _write(folder / "cgroup.procs", pid)

    def pids(self) -> list[int]:
        """Every process in it and below it."""
        found: dict[int, None] = {}
        for folder in self.folders:
            for place, _, files in os.walk(folder):
                if "cgroup.procs" in files:
                    found.update(dict.fromkeys(_read_pids(Path(place))))
        return list(found)

    def kill(self, timeout: float = 10.0) -> None:
        """SIGKILL everything in it, frozen or not, and wait until it is empty."""
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
        if self.exists():
            self.thaw()  # on v1 a frozen process takes no signal

    # --- freezing
    def freeze(self) -> None:
        self._freezer("FROZEN", "1")

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
            used = _read_int(folder / "memory.current") - _field(folder / "memory.stat", "inactive_file")
            cpu = _field(folder / "cpu.stat", "usage_usec")
        else:
            memory = self.folder("memory")
            used = _read_int(memory / "memory.usage_in_bytes")
            used -= _field(memory / "memory.stat", "total_inactive_file")
            cpu = _read_int(self.folder("cpuacct") / "cpuacct.usage") // 1000
        pids = _read_int(self.folder("pids") / "pids.current")
        return Usage(memory_bytes=max(used, 0), cpu_usec=cpu, pids=pids, oom_kills=self.oom_kills())

    def oom_kills(self) -> int:
        """Processes of it that the kernel killed for want of memory, by its own or a parent's limit."""
        folder = self.folder("memory")
        name = "memory.events" if self.tree.version == 2 else "memory.oom_control"
        return _field(folder / name, "oom_kill")

    # --- removing
    def remove(self) -> None:
        """Remove it and all below it, in every hierarchy. It must hold no process (see kill)."""
        for folder in (*self.folders, self._unified):
            for place in _deepest_first(folder):
                with suppress(OSError):  # in a v2 tree it cannot, and need not, be removed
                    (place / "cgroup.procs").unlink()
                _rmdir(place)

    def remove_if_empty(self) -> None:
        """Remove it unless it has children or processes."""
        for folder in (*self.folders, self._unified):
            with suppress(FileNotFoundError, OSError):
                folder.rmdir()


def quota_usec(cpu_millis: int) -> int:
    """A cpu limit as microseconds in each period; the kernel refuses less than one millisecond."""
    return max(cpu_millis * CPU_PERIOD_USEC // 1000, 1000)


def shares_v1(weight: int) -> int:
    """v2's cpu.weight (default 100) on v1's scale of cpu.shares (default 1,024, least 2)."""
    return max(weight * 1024 // 100, 2)


def _limit_cpu_v1(folder: Path, quota: int) -> None:
    """v1 refuses a parent with less than any descendant's: those come down first, the deepest before all."""
    *below, itself = _deepest_first(folder)
    for child in below:
        if _read_int(child / "cpu.cfs_quota_us") > quota:
            _write(child / "cpu.cfs_quota_us", quota)
    # A child that was removed just now counts until the kernel has forgotten it.
    _patiently(lambda: _write(itself / "cpu.cfs_quota_us", quota), errno.EINVAL)


def _enable(folder: Path, available: frozenset[str]) -> None:
    on = (folder / "cgroup.subtree_control").read_text().split()
    for name in WANTED:
        if name in available and name not in on:
            _write(folder / "cgroup.subtree_control", f"+{name}")


def _deepest_first(folder: Path) -> Iterator[Path]:
    for place, _, _ in os.walk(folder, topdown=False):
        yield Path(place)


def _rmdir(folder: Path) -> None:
    """rmdir; the kernel may hold a cgroup for a moment after its last process was reaped."""

    def remove() -> None:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            summary = f"cannot remove cgroup {folder}: {error.strerror}"
            raise HostProblem(summary, retryable=True) from error

    _patiently(remove, errno.EBUSY)


def _patiently(action: Callable[[], None], refusal: int) -> None:
    """Try again for a moment while the kernel refuses with the error number `refusal`."""
    for pause in (0.001, 0.01, 0.05, 0.2, 0.5):
        try:
            return action()
        except HostProblem as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != refusal:
                raise
        time.sleep(pause)
    return action()


def _write(file: Path, value: int | str) -> None:
    try:
        file.write_text(str(value))
    except ProcessLookupError:
        raise
    except OSError as error:
        raise HostProblem(
            f"cannot write {value} to {file}: {error.strerror}", hint="see bin/up --check"
        ) from error


def _read_int(file: Path) -> int:
    try:
        text = file.read_text().strip()
    except (FileNotFoundError, OSError):
        return 0
    return int(text) if text.lstrip("-").isdigit() else 0


def _field(file: Path, name: str) -> int:
    """The number after `name` in a flat-keyed file; 0 when either is absent."""
    try:
        lines: Iterable[str] = file.read_text().splitlines()
    except (FileNotFoundError, OSError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)


def _read_pids(folder: Path) -> list[int]:
    try:
        return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    except (FileNotFoundError, OSError):
        return []
