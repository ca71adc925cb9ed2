"""Images that podman and Docker made: Berth runs what is pushed to a registry, and what they save."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from django.conf import settings

from bench.docker import Docker
from paas.worker import builds, launch
from paas.worker.roll_out import start_process
from tenants.registries import actions as registries
from tenants.releases import actions, serial
from tenants.releases.models import Build, Release
from tests.runtime.conftest import BASE
from tests.worker.host import Host
from tests.worker.registries import OPEN, Outside

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
NAME, GREETING = "localhost/foreign/shop:1", "hello from abroad"
CHANGES = ("ENV PATH=/bin", f'CMD ["sh", "-c", "echo {GREETING}; sleep 60"]')


def rootfs(folder: Path) -> Path:
    """busybox, as an archive of files that no tool has made an image of yet."""
    archive = folder / "rootfs.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(settings.PATHS.store / "layers" / BASE.removeprefix("sha256:"), arcname=".")
    return archive


def run(*argv: str | Path) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{argv}: {done.stdout}\n{done.stderr}"


def imported(podman: list[str], folder: Path) -> None:
    """As NAME, in podman's storage."""
    run(*podman, "import", "-q", *(f"--change={change}" for change in CHANGES), rootfs(folder), NAME)


def uploaded(host: Host, archive: Path) -> Release:
    cast = host.cast
    source = actions.upload_source(
        actor=cast.developer,
        app=cast.app,
        kind="tar.gz",
        name="saved",
        chunks=[gzip.compress(archive.read_bytes(), 1)],
    )
    build = actions.start_build(actor=cast.developer, app=cast.app, source=source)
    builds.run_next()
    return released(build)


def pulled(host: Host, image: str) -> Build:
    build = registries.deploy_image(actor=host.cast.developer, app=host.cast.app, image=image)
    builds.run_next()
    return build


def released(build: Build) -> Release:
    build.refresh_from_db()
    assert build.status == "succeeded", build.error
    return build.releases.get()


def demand_runs(host: Host, release: Release) -> None:
    """Its own command, as the app's web process."""
    (process,) = serial.processes(release)
    row = start_process(host.cast.app, release, process, 1)
    log, end = settings.PATHS.container_log(row.pk), time.monotonic() + 20
    while GREETING not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    assert launch.observe(row).status == "running"
    launch.take_down(row, reason="test")
    assert host.is_clean()


def test_what_podman_and_skopeo_push_runs_by_tag_and_by_digest(
    host: Host, world: Outside, podman: list[str], tmp_path: Path
) -> None:
    imported(podman, tmp_path)
    run(*podman, "save", "-q", "--format=oci-archive", "-o", tmp_path / "saved", NAME)
    saved = f"oci-archive:{tmp_path / 'saved'}"
    pushes: dict[str, tuple[str, ...]] = {
        f"{OPEN}/podman/shop": (*podman, "push", "-q", "--tls-verify=false", NAME),
        f"{OPEN}/skopeo/shop": ("skopeo", "copy", "--dest-tls-verify=false", "--format=v2s2", saved),
    }
    with world.registry(OPEN):
        for name, argv in pushes.items():
            world(*argv, f"docker://{name}:1")
            told = world("skopeo", "inspect", "--tls-verify=false", f"docker://{name}:1")
            digest = json.loads(told)["Digest"]
            for image in (f"{name}:1", f"{name}@{digest}"):
                release = released(pulled(host, image))
                assert release.image["digest"] == digest
                demand_runs(host, release)


def test_what_podman_saves_runs(host: Host, podman: list[str], tmp_path: Path) -> None:
    imported(podman, tmp_path)
    for form in ("docker-archive", "oci-archive"):
        saved = tmp_path / form
        run(*podman, "save", "-q", f"--format={form}", "-o", saved, NAME)
        demand_runs(host, uploaded(host, saved))


def test_what_docker_saves_runs(host: Host, docker: Docker, tmp_path: Path) -> None:
    docker("import", *(f"--change={change}" for change in CHANGES), str(rootfs(tmp_path)), NAME)
    docker("save", "-o", str(tmp_path / "saved"), NAME)
    demand_runs(host, uploaded(host, tmp_path / "saved"))
