"""skopeo, podman and Docker, as Debian has them: what Berth exports they run, what they export Berth takes.

Each runs privately (tests.images.tools) and without a network.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bench import build
from bench.docker import Docker
from paas.images import Store
from paas.oci.attestation import CYCLONEDX, PROVENANCE, Predicate
from paas.oci.config import History, ImageConfig
from paas.oci.digest import hex_of, of_bytes
from tests.runtime.conftest import BASE, _make_base_layer

pytestmark = pytest.mark.kernel
NAME = "localhost/berth/shop:v1"
SAID = (Predicate(PROVENANCE, {"made": "by berth"}), Predicate(CYCLONEDX, {"components": []}))


@pytest.fixture
def exported(store: Store, tmp_path: Path) -> Path:
    """An image of two layers, of busybox, that answers when it is run, with statements of it beside."""
    _make_base_layer(tmp_path / "made")
    base = store.commit_changeset(tmp_path / "made/layers" / BASE.removeprefix("sha256:"), epoch=1)
    upper = tmp_path / "top"
    (upper / "srv").mkdir(parents=True)
    (upper / "srv/greeting").write_text("hello from berth\n")
    top = store.commit_changeset(upper, epoch=1)
    config = ImageConfig(env=(("PATH", "/bin"),), cmd=("cat", "/srv/greeting"))
    config = config.with_layer(base.diff_id, History("busybox")).with_layer(top.diff_id, History("COPY"))
    digest = store.put_image(config).digest
    archive = tmp_path / "exported.tar"
    with archive.open("wb") as file:
        store.save_archive(digest, file, name=NAME, said=SAID)
    (tmp_path / "digest").write_text(digest)
    return archive


def digest_of(exported: Path) -> str:
    return (exported.parent / "digest").read_text()


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{argv}: {done.stdout}\n{done.stderr}"
    return done.stdout


def blob_of(layout: Path, digest: str) -> bytes:
    return (layout / "blobs/sha256" / hex_of(digest)).read_bytes()


def takes_back(store: Store, archive: Path, before: Path, *, greeting: str) -> None:
    """What somebody else saved, with a file changed in a layer of theirs."""
    with archive.open("rb") as file:
        loaded = store.load_archive(file)
    config = store.config(loaded.digest)
    ours = store.config(digest_of(before))
    assert config.diff_ids[: len(ours.diff_ids)] == ours.diff_ids, "the layers that were ours are so again"
    assert (store.layer_path(config.diff_ids[-1]) / "srv/greeting").read_text() == greeting
    again = archive.with_suffix(".again")
    with again.open("wb") as file:
        store.save_archive(loaded.digest, file)
    raw = run("skopeo", "inspect", "--raw", f"oci-archive:{again}")
    assert of_bytes(raw.encode()) == loaded.digest
    assert store.fsck() == ()


def test_skopeo_reads_and_writes(store: Store, exported: Path, tmp_path: Path) -> None:
    raw = run("skopeo", "inspect", "--raw", f"oci-archive:{exported}")
    image, said = json.loads(raw)["manifests"]
    assert image["digest"] == said["annotations"]["vnd.docker.reference.digest"] == digest_of(exported)
    run("skopeo", "copy", "--all", "--preserve-digests", f"oci-archive:{exported}", f"oci:{tmp_path}/all:v1")
    layers = json.loads(blob_of(tmp_path / "all", said["digest"]))["layers"]
    statements = [json.loads(blob_of(tmp_path / "all", layer["digest"])) for layer in layers]
    assert [Predicate(found["predicateType"], found["predicate"]) for found in statements] == list(SAID)
    assert {found["subject"][0]["digest"]["sha256"] for found in statements} == {hex_of(image["digest"])}
    assert store.load_layout(tmp_path / "all", name="v1").digest == digest_of(exported)
    run("skopeo", "copy", f"oci-archive:{exported}", f"oci:{tmp_path}/layout:v1")
    compressed = store.load_layout(tmp_path / "layout", name="v1")
    assert store.image(compressed.digest).layers == store.image(digest_of(exported)).layers
    for target in ("docker-archive", "oci-archive"):
        again = tmp_path / f"{target}.tar"
        run("skopeo", "copy", f"docker-archive:{exported}", f"{target}:{again}:{NAME}")
        with again.open("rb") as file:
            assert store.image(store.load_archive(file).digest).cmd == ("cat", "/srv/greeting")
    listed = json.loads(run("skopeo", "inspect", f"docker-archive:{exported}"))
    assert len(listed["Layers"]) == 2


def test_podman_runs_it_and_what_podman_saves_is_taken(
    store: Store, exported: Path, podman: list[str], tmp_path: Path
) -> None:
    run(*podman, "load", "-i", exported)
    shut = (
        "--network=none",
        "--ulimit=nofile=1024:1024",
        "--ulimit=nproc=1024:1024",
        "--security-opt=seccomp=unconfined",
    )
    assert run(*podman, "run", "--rm", *shut, NAME) == "hello from berth\n"
    run(*podman, "run", "--name=changed", *shut, NAME, "sh", "-c", "echo ahoy > /srv/greeting")
    run(*podman, "commit", "-q", "changed", "localhost/changed:1")
    for form in ("docker-archive", "oci-archive"):
        saved = tmp_path / f"{form}.tar"
        run(*podman, "save", "-q", f"--format={form}", "-o", saved, "localhost/changed:1")
        takes_back(store, saved, exported, greeting="ahoy\n")


def test_docker_runs_it_and_what_docker_saves_is_taken(
    store: Store, exported: Path, docker: Docker, tmp_path: Path
) -> None:
    with exported.open("rb") as file:
        docker("load", stdin=file)
    assert docker("run", "--rm", "--network=none", NAME) == "hello from berth"
    docker("run", "--name=changed", "--network=none", NAME, "sh", "-c", "echo ahoy > /srv/greeting")
    docker("commit", "changed", "changed:1")
    docker("save", "-o", str(tmp_path / "saved.tar"), "changed:1")
    takes_back(store, tmp_path / "saved.tar", exported, greeting="ahoy\n")


def test_docker_builds_on_it_with_each_of_its_builders(
    exported: Path, docker: Docker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that `bin/bench build` measures."""
    with exported.open("rb") as file:
        docker("load", stdin=file)
    source = tmp_path / "source"
    source.mkdir()
    (source / "Dockerfile").write_text(f"FROM {NAME}\nRUN echo ahoy >/srv/greeting\n")
    builders = build.docker_builds(docker)
    assert len(builders) == 1 + ("Without BuildKit" not in capsys.readouterr().out)
    for builder, name in zip(builders, (build.DOCKER, build.BUILDKIT), strict=False):
        assert list(builder(source)) == [name]
        assert docker("run", "--rm", "--network=none", "bench:built") == "ahoy"
        docker("rmi", "bench:built")
