"""Docker from Debian's docker.io, started privately: own socket, data folder, network namespace.

Nothing of it touches the host's networking: its bridge and its iptables rules are inside a namespace that
goes away with it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from bench.answers import Connect

CLIENT = "/usr/bin/docker"
NAMESPACES, OURS = Path("/run/netns"), "berth-bench-"
NAMESPACE = f"{OURS}{os.getpid()}"
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Docker:
    folder: Path
    buildkit: bool = False

    def __call__(self, *args: str, stdin: IO[bytes] | None = None) -> str:
        argv = [CLIENT, "-H", f"unix://{self.folder}/socket", *args]
        env = {**os.environ, "DOCKER_BUILDKIT": str(int(self.buildkit))}
        done = subprocess.run(argv, stdin=stdin, capture_output=True, check=False, env=env)
        if done.returncode:
            raise RuntimeError(f"docker {args[0]}: {done.stderr.decode().strip()}")
        return done.stdout.decode().strip()

    def with_buildkit(self) -> Docker:
        """Itself with BuildKit as its builder; RuntimeError where that is not installed (from Docker 23 on it
        is a plugin of the client's, buildx)."""
        other = replace(self, buildkit=True)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
            other("build", "-q", folder)
        return other

    def import_image(self, rootfs: Path, tag: str, *, more: Mapping[str, Path] | None = None) -> None:
        """A folder's files as an image of one layer; `more` are (name in the image, folder) beside them."""
        archive = self.folder / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(rootfs, arcname=".")
            for name, folder in (more or {}).items():
                tar.add(folder, arcname=name)
        with archive.open("rb") as file:
            self("import", "-", tag, stdin=file)
        archive.unlink()

    def address(self, container: str) -> str:
        return self("inspect", "-f", "{{.NetworkSettings.IPAddress}}", container)

    def tcp(self, address: str, port: int) -> Connect:
        """Connect from inside Docker's network namespace: a thread of its own enters it (setns(2))."""
        return lambda: _in_namespace(lambda: socket.create_connection((address, port), timeout=2))


@contextmanager
def running(folder: Path) -> Iterator[Docker]:
    """dockerd until the block ends; RuntimeError with its log when it does not come up."""
    if shutil.which("dockerd") is None:
        raise RuntimeError("dockerd is not installed: apt-get install docker.io iptables")
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _remove_orphans()
        subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
        undo.callback(subprocess.run, ["ip", "netns", "del", NAMESPACE], check=False)
        subprocess.run(["ip", "-n", NAMESPACE, "link", "set", "lo", "up"], check=True)
        log = undo.enter_context((folder / "log").open("wb"))
        # A session of its own: Ctrl-C is for the bench, which then stops it in order.
        daemon = subprocess.Popen(_daemon(folder), stdout=log, stderr=log, start_new_session=True)
        undo.callback(_stop, daemon)
        docker = Docker(folder)
        _wait(docker, daemon)
        undo.callback(_remove_containers, docker)
        yield docker


def _remove_orphans() -> None:
    """Network namespaces of runs that were killed; their daemons have ended with them."""
    for name in (path.name for path in NAMESPACES.glob(f"{OURS}*")):
        if not Path("/proc", name.removeprefix(OURS)).exists():
            subprocess.run(["ip", "netns", "del", name], check=False)


def _daemon(folder: Path) -> list[str]:
    """It would take a containerd that runs for its own, which does not see what it mounts."""
    alone = 'if [ -d /run/containerd ]; then mount -t tmpfs none /run/containerd; fi; exec "$@"'
    return ["setpriv", "--pdeathsig=TERM", "--",
            "nsenter", f"--net={NAMESPACES / NAMESPACE}", "unshare", "--mount", "sh", "-c", alone, "sh",
            "dockerd", "-H", f"unix://{folder}/socket", "--data-root", str(folder / "data"),
            "--exec-root", str(folder / "exec"), "-p", str(folder / "pid")]  # fmt: skip


def _remove_containers(docker: Docker) -> None:
    containers = docker("ps", "-aq").split()
    if containers:
        docker("rm", "-f", *containers)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    """SIGTERM, which lets it end its containerd; then its whole session."""
    daemon.terminate()
    try:
        daemon.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


def _wait(docker: Docker, daemon: subprocess.Popen[bytes]) -> None:
    for _ in range(120):
        try:
            docker("version")
        except RuntimeError:
            if daemon.poll() is not None:
                break
            time.sleep(0.25)
        else:
            return
    raise RuntimeError("dockerd did not come up:\n" + (docker.folder / "log").read_text()[-2000:])


def _in_namespace(make: Connect) -> socket.socket:
    found: list[socket.socket | BaseException] = []

    def enter() -> None:
        try:
            fd = os.open(NAMESPACES / NAMESPACE, os.O_RDONLY)
            try:
                _setns(fd)
            finally:
                os.close(fd)
            found.append(make())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def _setns(fd: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) != 0:  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")
