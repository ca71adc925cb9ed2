"""podman and Docker, as Debian has them. Each runs privately: its own folders, and for Docker its own daemon in
a network namespace of the test's."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import docker as private_docker
from paas.linux.cgroups import Cgroup


@pytest.fixture
def podman() -> Iterator[list[str]]:
    # A folder with a short path: podman's run root has no room for pytest's.
    short = Path(tempfile.mkdtemp(prefix="bf-"))
    command = [
        "podman",
        f"--root={short}/root",
        f"--runroot={short}/run",
        f"--tmpdir={short}/tmp",
        "--storage-driver=vfs",
        "--runtime=runc",
        "--cgroup-manager=cgroupfs",
        "--events-backend=none",
    ]
    yield command
    subprocess.run([*command, "rm", "-fa"], check=False, capture_output=True)
    Cgroup("/libpod_parent").remove()  # which podman leaves
    shutil.rmtree(short, ignore_errors=True)


@pytest.fixture(scope="module")
def docker() -> Iterator[private_docker.Docker]:
    with (
        tempfile.TemporaryDirectory(prefix="bf-") as short,
        private_docker.running(Path(short, "docker")) as docker,
    ):
        yield docker
