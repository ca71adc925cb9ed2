"""conmon: the small process beside each container that keeps its log and its exit status.

It outlives us: own session, own cgroup, no descriptor of ours. Interface: conmon(8) and its sync pipe, a line
of JSON `{"data": pid}`, or `{"data": -1, "message": …}` with what the runtime said.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from paas.errors import HostProblem
from paas.linux import namespaces, processes
from paas.linux.cgroups import Cgroup
from paas.linux.command import CLEAN_ENV

# conmon starts its file over at this size. The agent rotates well before; without an agent this holds.
LOG_SIZE_MAX = 16 * 1024 * 1024
CREATE_TIMEOUT = 60.0
# A log here is a pipe of the caller's: conmon has it open under the same number, and must not replace it.
OUR_DESCRIPTORS = Path("/proc/self/fd")
# How soon we look again whether a container's first process is there; where the machine is busy, after so much
# of what has passed: eight launches side by side spent a third of our time on looking.
LOOK_SECONDS, LOOK_PART = 0.0005, 1 / 8
# It says nothing to people: without a locale it opens 27 files less as it starts, and maps 12 less while it
# lives; with GLib's own allocator (before 2.76) it would keep 12 KiB that it needed once.
SMALL = {"LANG": "C", "G_SLICE": "always-malloc"}
# Called with the id of a container's first process when that has its namespaces, while the runtime goes on.
Beside = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything that conmon is told."""

    container_id: str
    bundle: Path
    log: Path
    exits: Path
    runtime_root: Path

    @property
    def pid_file(self) -> Path:
        return self.bundle / "pid"

    @property
    def conmon_pid_file(self) -> Path:
        return self.bundle / "conmon.pid"

    @property
    def pipes(self) -> tuple[int, ...]:
        """What conmon must inherit for its log."""
        return (int(self.log.name),) if self.log.parent == OUR_DESCRIPTORS else ()

    def argv(self, conmon: str, runtime: str) -> list[str]:
        return [
            conmon,
            *("--api-version", "1"),
            *("--cid", self.container_id, "--cuuid", self.container_id, "--name", self.container_id),
            *("--bundle", str(self.bundle), "--persist-dir", str(self.bundle), "--full-attach"),
            *("--runtime", runtime, "--runtime-arg", f"--root={self.runtime_root}"),
            *("--log-path", f"k8s-file:{self.log}", "--no-sync-log"),
            *(() if self.pipes else ("--log-size-max", str(LOG_SIZE_MAX))),
            *("--exit-dir", str(self.exits)),
            *("--container-pidfile", str(self.pid_file), "--conmon-pidfile", str(self.conmon_pid_file)),
            *("--log-level", "error"),
        ]


def first_program(names: Sequence[str]) -> Path:
    """The first of `names` that is installed."""
    for name in names:
        found = shutil.which(name, path=CLEAN_ENV["PATH"])
        if found:
            return Path(found)
    raise HostProblem(f"none of {', '.join(names)} is installed", hint="run bin/up, or see bin/up --check")


@contextmanager
def begun(launch: Launch, cgroup: Cgroup) -> Iterator[Callable[[Cgroup, Beside], int]]:
    """Start conmon while the caller gets the bundle ready. To call what this gives has it create the container
    in the cgroup that is named, and returns the id of the container's first process, which waits for start;
    conmon is in `cgroup` then. Errors: HostProblem with what the runtime said. Then conmon has ended.
    """
    argv = launch.argv(*(str(first_program([name])) for name in ("conmon", "crun")))
    with ExitStack() as undo:
        start_read, start_write = _pipe(undo)
        sync_read, sync_write = _pipe(undo)
        process = _spawn(argv, launch, start_read.fileno(), sync_write.fileno())
        undo.callback(_end, process)
        start_read.close()
        sync_write.close()
        mover = undo.enter_context(ThreadPoolExecutor(1, thread_name_prefix="cgroup"))
        # It waits for a byte before its first fork. Where this move is through by then, all of it is born in
        # the right cgroup; where not, its wait is at least over when the runtime moves the container.
        mover.submit(cgroup.attach, process.pid)

        def create(container: Cgroup, beside: Beside) -> int:
            start_write.write(b".")
            _wait_for_daemon(process)
            moved = mover.submit(cgroup.attach, _read_daemon(launch))
            born = _first_process(container, sync_read)
            try:
                if born is not None:
                    beside(born)
            finally:  # what the runtime has to say of a failure comes first; and nobody may clear away its work
                pid = _read_pid(sync_read, launch.container_id)
            if pid != born:
                beside(pid)
            moved.result()
            return pid

        yield create


def let_run(state: Path) -> bool:
    """Have a created container's first process run its command; False when that is not to be had this way.

    It waits for a byte in a FIFO of the runtime's `state` folder. That byte, and the name's removal, are all
    that `crun start` does for a container without hooks (libcrun_status_write_exec_fifo in crun's status.c),
    and starting a program for it would be a tenth of a launch.
    """
    fifo = state / "exec.fifo"
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # there is none, or nobody waits
        return False
    try:
        fifo.unlink()
        os.write(descriptor, b"\0")
    finally:
        os.close(descriptor)
    return True


def _pipe(undo: ExitStack) -> tuple[FileIO, FileIO]:
    read, write = os.pipe()
    return undo.enter_context(FileIO(read, "r")), undo.enter_context(FileIO(write, "w"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Of one that was not told to create; one that was has left long since."""
    if process.poll() is None:
        process.kill()
        process.wait()


def _spawn(argv: list[str], launch: Launch, start_read: int, sync_write: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **CLEAN_ENV,
            **SMALL,
            **namespaces.RUNTIME_IS_READ_ONLY,
            "_OCI_STARTPIPE": str(start_read),
            "_OCI_SYNCPIPE": str(sync_write),
        },
        cwd=launch.bundle,
        pass_fds=(start_read, sync_write, *launch.pipes),
        start_new_session=True,
    )


def _wait_for_daemon(process: subprocess.Popen[bytes]) -> None:
    """conmon forks and its first process ends at once; the rest is the daemon, which init adopts."""
    if not processes.wait_for_end(process.pid, time.monotonic() + CREATE_TIMEOUT):
        process.kill()
        process.wait()
        raise HostProblem("conmon does not start", retryable=True)
    process.wait()


def _read_daemon(launch: Launch) -> int:
    """The id that conmon's first process left of the one that stays."""
    try:
        return int(launch.conmon_pid_file.read_text())
    except (FileNotFoundError, ValueError):
        raise HostProblem(
            f"conmon does not start for container {launch.container_id}",
            hint="see bin/up --check for what this host lacks",
            retryable=True,
        ) from None


def _first_process(container: Cgroup, sync: FileIO) -> int | None:
    """The container's first process as soon as it is in its cgroup: it has its namespaces by then, and as many
    milliseconds of mounts before it. (On v2 the runtime's own that makes it is there before it.) None when the
    runtime is done, well or not."""
    begin, pause = time.monotonic(), LOOK_SECONDS
    while not select.select([sync], [], [], pause)[0]:
        for pid in container.direct_pids():
            if namespaces.is_first_of_its_own(pid):
                return pid
        pause = max(LOOK_SECONDS, (time.monotonic() - begin) * LOOK_PART)
    return None


def _read_pid(sync: FileIO, container_id: str) -> int:
    ready, _, _ = select.select([sync], [], [], CREATE_TIMEOUT)
    line = sync.readline() if ready else b""
    try:
        answer = json.loads(line)
        pid = int(answer["data"])
    except (ValueError, KeyError, TypeError):
        raise HostProblem(f"conmon gave no answer for container {container_id}", retryable=True) from None
    if pid <= 0:
        said = str(answer.get("message", "")).strip() or f"status {pid}"
        raise HostProblem(
            f"the runtime cannot create container {container_id}: {said}",
            hint="see bin/up --check for what this host lacks",
        )
    return pid
