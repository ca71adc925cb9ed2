"""An image that is uploaded is deployed as it is."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from paas.paths import Paths
from paas.worker import archived, builds, jobs
from paas.worker.archived import is_image
from tenants.releases import actions, serial
from tenants.releases.models import Build
from tests.images.foreign import Files, Foreign, docker_archive, layout, packed, written
from tests.web.cast import Cast
from tests.worker.host import Host
from tests.worker.workbench import source_of

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
CHECKED = {"config": {"Cmd": ["/app"], "Healthcheck": {"Test": ["CMD", "check"]}, "User": "7"}}


@pytest.fixture
def state(host: Host, settings: Any) -> Paths:
    """Of a host whose store has a base already."""
    paths: Paths = settings.PATHS
    return paths


def zipped(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def files_in(store: Path) -> set[Path]:
    return {path for path in store.rglob("*") if path.name != "lock"}


def deployed(cast: Cast, archive: bytes, kind: str = "tar.gz") -> Build:
    actor = cast.developer
    source = actions.upload_source(actor=actor, app=cast.app, kind=kind, name="image", chunks=[archive])
    build = actions.start_build(actor=actor, app=cast.app, source=source)
    builds.run_next()
    build.refresh_from_db()
    return build


def gzipped(files: Files, links: Mapping[str, str] | None = None) -> bytes:
    return gzip.compress(packed(files, links).read(), 1)


def test_what_is_an_image(tmp_path: Path) -> None:
    image = Foreign()
    assert is_image(written(layout(image), tmp_path / "oci"))
    assert is_image(written(docker_archive(image, "shop"), tmp_path / "docker"))
    apps: dict[str, Files] = {
        "web": {"manifest.json": b'{"name": "an app in a browser"}', "index.html": b""},
        "list": {"manifest.json": b"[1, 2]"},
        "empty": {"manifest.json": b"[]"},
        "damaged": {"manifest.json": b"[" * 100_000},
        "index": {"index.json": b"{}"},
    }
    assert [name for name, files in apps.items() if is_image(written(files, tmp_path / name))] == []
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "manifest.json").symlink_to(tmp_path / "docker" / "manifest.json")
    (linked / "oci-layout").mkdir()
    assert not is_image(linked)


def test_a_layout_and_what_docker_saves_are_deployed_as_they_are(cast: Cast, state: Paths) -> None:
    image = Foreign(name="v1", config=CHECKED)
    for archive, kind in (
        (gzipped(layout(image)), "tar.gz"),
        (gzipped({f"image/{name}": data for name, data in layout(image).items()}), "tar.gz"),
        (zipped(layout(image)), "zip"),
    ):
        build = deployed(cast, archive, kind)
        assert build.status == "succeeded", build.error
        release = build.releases.get()
        assert release.image["digest"] == image.digest and release.image["user"] == "7"
        assert [process.args for process in serial.processes(release)] == [("/app",)]
        assert serial.health(release).command == ("check",)
        assert (build.builder, build.steps_total) == ("image", 0)


def test_an_archive_of_an_older_docker_has_links(cast: Cast, state: Paths) -> None:
    image = Foreign(compression="", layers=({"a": b"1"}, {"a": b"1"}))
    files = docker_archive(image, "shop:latest")
    first, second = (f"{n:064x}/layer.tar" for n in range(2))
    del files[second]
    build = deployed(cast, gzipped(files, {second: f"../{first}"}))
    assert build.status == "succeeded", build.error
    assert build.releases.get().image["layers"] == [image.diff_ids[0]]
    assert "It is an image, shop:latest: sha256:" in state.build_log(build.pk).read_text()


def test_a_wrong_image_is_told_and_not_released(cast: Cast, state: Paths) -> None:
    image = Foreign()
    lies = layout(image)
    lies[f"blobs/sha256/{image.digest[7:]}"] = image.manifest(annotations={})
    for files, said in (
        (lies, "has the digest"),
        (layout(Foreign(platform="windows/amd64")), "no image for linux"),
        (layout(Foreign(config={"config": {}})), "says no command to run"),
        ({**docker_archive(image, "x"), "manifest.json": json.dumps(
            [{"Config": "../../../etc/passwd", "Layers": []}]).encode()}, "points outside the archive"),
    ):  # fmt: skip
        build = deployed(cast, gzipped(files))
        assert build.status == "failed" and build.error and said in build.error["summary"], build.error
        assert not build.releases.exists()


def test_an_upload_is_not_unpacked_beyond_its_time(cast: Cast, state: Paths, settings: Any) -> None:
    settings.BUILD_SECONDS = 0
    build = deployed(cast, gzipped(layout(Foreign())))
    assert build.error and build.error["summary"] == "the build took longer than 0 seconds and was ended"
    assert "files," not in state.build_log(build.pk).read_text()
    assert not source_of(build).exists()


def test_a_build_that_is_cancelled_while_its_image_is_loaded_leaves_nothing(
    cast: Cast, state: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled_meanwhile(folder: Path) -> bool:
        actions.cancel_build(actor=cast.developer, build=Build.objects.get(status="running"))
        return is_image(folder)

    monkeypatch.setattr(archived, "is_image", cancelled_meanwhile)
    monkeypatch.setattr(jobs, "CANCEL_LOOK_SECONDS", 0.0)
    before = files_in(state.store)
    build = deployed(cast, gzipped(layout(Foreign())))
    assert (build.status, build.error) == ("cancelled", None)
    assert not source_of(build).exists()
    assert files_in(state.store) == before
