"""What is true of a container on this host, read from the kernel and from conmon's files, never remembered."""

from __future__ import annotations

import json
import os
import signal as signals
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from paas.errors import Conflict
from paas.linux import processes
from paas.linux.cgroups import Cgroup
from paas.paths import Paths
from paas.runtime.stubs import Holder
from paas.specs import ContainerState, Limits

CONCLUDE_SECONDS = 5.0  # conmon writes the exit file this soon after the container's end, or never


@dataclass(frozen=True, slots=True)
class Facts:
    """What must be known to take a container down again; written before anything else of it is made."""

    tenant_id: str
    app_id: str
    stop_signal: str
    stop_timeout: float
    stubs: tuple[str, ...] = ()  # mount points that the image lacks and the runtime makes (see changeset)
    holders: tuple[Holder, ...] = ()  # the folders that hold those
    limits: Limits | None = None  # as asked for; None in those of an earlier version

    def write(self, bundle: Path) -> None:
        fresh = bundle / "facts.new"
        fresh.write_text(json.dumps(asdict(self)))
        fresh.rename(bundle / "facts.json")

    @classmethod
    def read(cls, bundle: Path) -> Facts | None:
        try:
            data = json.loads((bundle / "facts.json").read_text())
        except FileNotFoundError:
            return None
        holders = tuple(tuple(holder) for holder in data.get("holders", ()))
        limits = Limits(**data["limits"]) if data.get("limits") else None
        return cls(**{**data, "stubs": tuple(data["stubs"]), "holders": holders, "limits": limits})


class Life:
    """One container's traces under the run folder."""

    def __init__(self, paths: Paths, cgroup_root: str, container_id: str) -> None:
        self.id = container_id
        self.bundle = paths.bundles / container_id
        self.rootfs = paths.rootfs / container_id
        self.exit_file = paths.exits / container_id
        self.started_mark = self.bundle / "started"
        self._cgroup_root = cgroup_root

    def facts(self) -> Facts | None:
        return Facts.read(self.bundle)

    def cgroup(self, facts: Facts) -> Cgroup:
        return of_container(self._cgroup_root, facts.tenant_id, facts.app_id, self.id)

    def pid(self) -> int | None:
        """The container's first process, alive. A number that the kernel gave to somebody else is not it."""
        pid = _read_pid(self.bundle / "pid")
        return pid if pid and self._is_ours(pid, "cgroup", f"/{self.id}\n") else None

    def root(self) -> Path:
        """Its root file system, as its first process sees it. Conflict when that has ended."""
        pid = self.pid()
        if pid is None:
            raise Conflict(f"container {self.id} does not run", hint="it has ended, or is about to start")
        return Path(f"/proc/{pid}/root")

    def conmon_pid(self) -> int | None:
        pid = _read_pid(self.bundle / "conmon.pid")
        return pid if pid and self._is_ours(pid, "cmdline", f"--cid\0{self.id}\0") else None

    def _is_ours(self, pid: int, file: str, mark: str) -> bool:
        """Whether the process exists, is no zombie and carries the container's mark."""
        try:
            if _is_zombie(pid):
                return False
            return mark in Path(f"/proc/{pid}/{file}").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False

    def send(self, signal: int) -> None:
        """Signal the first process, which passes it on to its child. Too late is fine."""
        pid = self.pid()
        if pid is not None:
            _signal(pid, signal)

    def kill_beside(self, pid_file: Path) -> None:
        """Kill a process that was started beside the first one. The runtime wrote its id, as seen from here."""
        pid = _read_pid(pid_file)
        if pid and self._is_ours(pid, "cgroup", f"/{self.id}\n"):
            _signal(pid, signals.SIGKILL)

    def end_conmon(self) -> None:
        """Only for a conmon that has not ended by itself."""
        pid = self.conmon_pid()
        if pid is not None:
            _signal(pid, signals.SIGKILL)
            _wait_pid(pid, time.monotonic() + CONCLUDE_SECONDS)

    def state(self) -> ContainerState:
        """Until conmon has written how it ended, a container that has just ended still counts as running."""
        facts = self.facts()
        if facts is None:
            return ContainerState(self.id, "absent")
        if self.exit_file.exists():
            return self._stopped(facts)
        pid = self.pid()
        if pid is not None:
            return ContainerState(self.id, "running" if self.started_mark.exists() else "created", pid=pid)
        if self.conmon_pid() is not None:
            return ContainerState(self.id, "running" if self.started_mark.exists() else "creating")
        return self._stopped(facts)

    def _stopped(self, facts: Facts) -> ContainerState:
        code = _read_pid(self.exit_file)
        # The init reports a child that a signal ended as 128 + signal, as a shell does.
        signal = code - 128 if code is not None and 128 < code <= 128 + 64 else None
        oom = code != 0 and (self.cgroup(facts).oom_kills() > 0 or (self.bundle / "oom").exists())
        return ContainerState(self.id, "stopped", exit_code=code, exit_signal=signal, oom_killed=oom)

    def wait_for_end(self, timeout: float) -> bool:
        """Sleep until the container has ended and its exit is recorded; False when `timeout` seconds pass."""
        end = time.monotonic() + timeout
        if not _wait_pid(self.pid(), end):
            return False
        # Its last moments: conmon reads what is left in the pipes, writes the exit file, ends.
        return _wait_pid(self.conmon_pid(), min(end, time.monotonic() + CONCLUDE_SECONDS)) or (
            self.exit_file.exists()
        )


def of_container(root: str, tenant_id: str, app_id: str, container_id: str) -> Cgroup:
    """Below its tenant's. An app has none: it would limit nothing, and take as much memory as a container's."""
    earlier = Cgroup(f"{root}/{tenant_id}/{app_id}/{container_id}")  # where an earlier Berth made it
    return earlier if earlier.folder("memory").is_dir() else Cgroup(f"{root}/{tenant_id}/{container_id}")


def _signal(pid: int, signal: int) -> None:
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            signals.pidfd_send_signal(fd, signal)
        finally:
            os.close(fd)


def _wait_pid(pid: int | None, end: float) -> bool:
    return pid is None or processes.wait_for_end(pid, end)


def _is_zombie(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    return stat.rpartition(")")[2].split()[0] in ("Z", "X")


def _read_pid(file: Path) -> int | None:
    """A number from a file that somebody else writes: absent or not yet written is None."""
    with suppress(FileNotFoundError, ValueError):
        return int(file.read_text())
    return None
