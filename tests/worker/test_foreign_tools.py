"""Podman, Docker and Berth take each other's images, by registry and as files, and run them."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from bench.docker import NAMESPACE, NAMESPACES, Docker
from paas.worker import builds, launch, registry
from paas.worker.roll_out import start_process
from tenants.registries import actions as registries
from tenants.releases import actions, serial
from tenants.releases.models import Build, Release
from tests.runtime.conftest import BASE
from tests.worker.host import Host
from tests.worker.registries import OPEN, Outside, listed_first

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
NAME, GREETING = "localhost/foreign/shop:1", "hello from abroad"
BOAT = f"{OPEN}/demo/boat"
# What this machine's podman cannot give a container.
SHUT = (
    "--network=none",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--security-opt=seccomp=unconfined",
)
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


def pushed(host: Host, image: str) -> str:
    """The digest that it has in the registry."""
    push = registries.push(actor=host.cast.developer, app=host.cast.app, release=host.release, image=image)
    registry.settle_push(push.pk)
    push.refresh_from_db()
    assert push.status == "done", push.error
    return push.digest


def test_what_berth_pushes_podman_runs_by_tag_and_by_digest(
    host: Host, world: Outside, podman: list[str]
) -> None:
    with world.registry(OPEN):
        digest = pushed(host, f"{BOAT}:1")
        for image in (f"{BOAT}:1", f"{BOAT}@{digest}", f"{BOAT}@{listed_first(world, f'{BOAT}:1')}"):
            world(*podman, "pull", "-q", "--tls-verify=false", image)
            assert world(*podman, "run", "--rm", *SHUT, image, "echo", "aboard") == "aboard\n"
            run(*podman, "rmi", image)


def test_docker_runs_what_berth_pushes_and_berth_what_docker_does(
    host: Host, world: Outside, docker: Docker, tmp_path: Path
) -> None:
    with world.registry(OPEN), beside(docker, world) as near:
        boat, digest = f"{near}/demo/boat", pushed(host, f"{BOAT}:1")
        for image in (f"{boat}:1", f"{boat}@{digest}", f"{boat}@{listed_first(world, f'{BOAT}:1')}"):
            docker("pull", "-q", image)
            assert docker("run", "--rm", "--network=none", image, "echo", "aboard") == "aboard"
            docker("rmi", image)
        docker(
            "import",
            *(f"--change={change}" for change in CHANGES),
            str(rootfs(tmp_path)),
            f"{near}/docker/shop:1",
        )
        docker("push", "-q", f"{near}/docker/shop:1")
        name = docker("inspect", "--format={{index .RepoDigests 0}}", f"{near}/docker/shop:1")
        digest = name.partition("@")[2]
        for image in (f"{OPEN}/docker/shop:1", f"{OPEN}/docker/shop@{digest}"):
            release = released(pulled(host, image))
            assert release.image["digest"] == digest
            demand_runs(host, release)


@contextmanager
def beside(docker: Docker, world: Outside) -> Iterator[str]:
    """The open registry once more, on its daemon's own loopback, which Docker trusts without TLS."""
    near = "127.0.0.1:5000"
    theirs = (world.folder / OPEN.replace(":", "-") / "config.yml").read_text()
    config = world.folder / "near.yml"
    config.write_text(theirs.replace(OPEN, near))
    enter = ["nsenter", f"--net={NAMESPACES / NAMESPACE}", "--"]
    with subprocess.Popen([*enter, "docker-registry", "serve", config], stderr=subprocess.DEVNULL) as there:
        try:
            end = time.monotonic() + 20
            while not answers(docker, near):
                assert there.poll() is None and time.monotonic() < end
                time.sleep(0.05)
            yield near
        finally:
            there.kill()


def answers(docker: Docker, address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        docker.tcp(host, int(port))().close()
    except OSError:
        return False
    return True
