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
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.answers import Connect

CLIENT = "/usr/bin/docker"
NAMESPACE = "berth-bench"


@dataclass(frozen=True, slots=True)
class Docker:
    folder: Path

    def __call__(self, *args: str, stdin: IO[bytes] | None = None) -> str:
        argv = [CLIENT, "-H", f"unix://{self.folder}/socket", *args]
        done = subprocess.run(
            argv, stdin=stdin, capture_output=True, check=False, env={**os.environ, "DOCKER_BUILDKIT": "0"}
        )
        if done.returncode:
            raise RuntimeError(f"docker {args[0]}: {done.stderr.decode().strip()}")
        return done.stdout.decode().strip()

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
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    log = (folder / "log").open("wb")
    daemon = None
    try:
        subprocess.run(["ip", "-n", NAMESPACE, "link", "set", "lo", "up"], check=True)
        daemon = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{NAMESPACE}", "unshare", "--mount", "dockerd",
             "-H", f"unix://{folder}/socket", "--data-root", str(folder / "data"),
             "--exec-root", str(folder / "exec"), "-p", str(folder / "pid")],
            stdout=log, stderr=log,
        )  # fmt: skip
        docker = Docker(folder)
        _wait(docker, daemon)
        yield docker
        for container in docker("ps", "-aq").split():
            docker("rm", "-f", container)
    finally:
        if daemon:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
        log.close()
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False)
        shutil.rmtree(folder, ignore_errors=True)


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
            fd = os.open(f"/run/netns/{NAMESPACE}", os.O_RDONLY)
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
