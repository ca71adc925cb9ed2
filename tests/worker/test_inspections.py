"""Looking inside, on the real engine: what a container did to its files, what a deploy changed."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from paas import __version__
from paas.contents.bill import bill, slsa
from paas.errors import Conflict, NotFound, StepFailed
from paas.oci.config import History, ImageConfig
from paas.specs import BuiltStage, ContainerSpec, ProcessSpec, Recipe
from paas.worker import commits, engine, inspections, launch
from paas.worker.provenance import provenance
from paas.worker.roll_out import start_process
from paas.worker.translate import process_container
from tenants.apps.actions import create_app
from tenants.containers.actions import commit
from tenants.containers.models import Container
from tenants.inspections import actions
from tenants.inspections.models import Inspection
from tenants.releases.actions import restart
from tenants.releases.models import Build, Release
from tenants.releases.serial import image, processes, to_json
from tests.runtime.conftest import BASE
from tests.web.cast import make_build
from tests.worker.host import Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]


def answer(inspection: Inspection) -> dict[str, Any]:
    inspections.inspect(inspection.pk)
    inspection.refresh_from_db()
    assert inspection.status == "answered", inspection.error
    found: dict[str, Any] | None = inspection.answer
    assert found is not None
    return found


def released(host: Host, tmp_path: Path, version: int, files: dict[str, str]) -> Release:
    """A release on an image of its own: one layer of these files."""
    upper = tmp_path / f"v{version}"
    for name, text in files.items():
        path = upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    layer = engine.store().commit_changeset(upper)
    step = History(f"COPY for v{version} s3cret-token")
    config = ImageConfig(env=(("KEY", "s3cret-token"),), labels=(("version", f"v{version}"),))
    image = engine.store().put_image(config.with_layer(layer.diff_id, step))
    first = host.release
    release = Release(
        app=host.cast.app,
        version=version,
        cause=Release.Cause.DEPLOY,
        image=to_json(image),
        processes=[{**first.processes[0], "count": version}],
        health=first.health,
    )
    release.config = {**first.config, "TOKEN": "s3cret-token"}
    release.save()
    return release


def test_how_two_releases_differ(host: Host, tmp_path: Path) -> None:
    before = released(host, tmp_path, 2, {"app/main.py": "key = 's3cret-token'\nprint(1)\n", "old": ""})
    files = {
        "app/main.py": "key = 's3cret-token'\nprint(2)\n",
        "new": "",
        "s3cret-token/of-s3cret-token.md": "",
    }
    after = released(host, tmp_path, 3, files)
    cast = host.cast
    found = answer(actions.compare(actor=cast.viewer, app=cast.app, before=before, release=after))
    assert {(f["path"], f["what"]) for f in found["files"]} == {
        ("app/main.py", "changed"),
        ("old", "removed"),
        ("new", "added"),
        ("••••••/of-••••••.md", "added"),
    }
    assert "s3cret-token" not in str(found["files"])
    (text,) = (f["text"] for f in found["files"] if f["path"] == "app/main.py")
    assert "-print(1)\n+print(2)" in text
    assert "s3cret-token" not in text and "••••••" in text
    assert [config["labels"] for config in found["configs"]] == [[["version", "v2"]], [["version", "v3"]]]
    assert [config["env"] for config in found["configs"]] == [[["KEY", "••••••"]]] * 2


def test_what_two_apps_keep_secret_is_in_no_difference_between_them(host: Host, tmp_path: Path) -> None:
    cast = host.cast
    before = released(host, tmp_path, 2, {"app/main.py": "key = 'the-mills-token'\n"})
    before.app = create_app(actor=cast.owner, tenant=cast.tenant, name="mill")
    before.config = {"TOKEN": "the-mills-token"}
    before.save()
    after = released(host, tmp_path, 3, {"app/main.py": "key = 's3cret-token'\nprint(2)\n"})
    found = answer(actions.compare(actor=cast.viewer, app=cast.app, before=before, release=after))
    (file,) = found["files"]
    assert "+print(2)" in file["text"]
    assert "the-mills-token" not in file["text"] and "s3cret-token" not in file["text"]


def test_what_is_in_an_image_and_in_a_layer(host: Host, tmp_path: Path) -> None:
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "link").symlink_to("to/s3cret-token")
    release = released(host, tmp_path, 2, {"node_modules/ms/package.json": '{"name":"ms","version":"2.1.3"}'})
    cast = host.cast
    recipe = to_json(Recipe((BuiltStage("0", "scratch", steps=("RUN s3cret-token",)),)))
    release.build = make_build(cast.app, cast.owner)
    Build.objects.filter(pk=release.build.pk).update(status=Build.Status.SUCCEEDED, recipe=recipe)
    release.save()
    asked = actions.look_inside(actor=cast.viewer, app=cast.app, release=release)
    found = answer(asked)
    assert found["provenance"]["recipe"]["stages"][0]["steps"] == ["RUN ••••••"]
    assert actions.look_inside(actor=cast.owner, app=cast.app, release=release).pk == asked.pk
    (layer,) = found["layers"]
    assert (layer["instruction"], layer["files"], layer["others"]) == ("COPY for v2 ••••••", 4, 0)
    assert [(p["name"], p["version"]) for p in found["packages"]] == [("ms", "2.1.3")]
    assert found["config"]["labels"] == [["version", "v2"]] and found["config"]["env"] == [["KEY", "••••••"]]
    listed = answer(
        actions.list_layer(actor=cast.viewer, app=cast.app, release=release, layer=layer["diff_id"])
    )
    assert [f["path"] for f in listed["files"]][-1] == "node_modules/ms/package.json"
    assert [f["target"] for f in listed["files"] if f["path"] == "link"] == ["to/••••••"]
    with pytest.raises(NotFound):
        actions.list_layer(actor=cast.viewer, app=cast.app, release=host.release, layer=layer["diff_id"])


def test_a_layer_is_shared_with_apps_that_keep_a_release_with_it(host: Host, tmp_path: Path) -> None:
    cast = host.cast
    release = released(host, tmp_path, 2, {"file": "common"})
    theirs = cast.others_app.releases
    same = {"cause": "deploy", "processes": release.processes, "health": release.health}
    theirs.create(version=1, image=release.image, status="failed", **same)
    shared = answer(actions.look_inside(actor=cast.viewer, app=cast.app, release=release))
    assert [layer["others"] for layer in shared["layers"]] == [1]
    theirs.create(
        version=2, image={**release.image, "layers": []}, **same
    )  # the newest is kept, the failed one not
    Inspection.objects.all().delete()
    alone = answer(actions.look_inside(actor=cast.viewer, app=cast.app, release=release))
    assert [layer["others"] for layer in alone["layers"]] == [0]


def test_what_a_container_changed(host: Host) -> None:
    script = "echo blue > /tmp/colour; rm /etc/group; echo 'key=blue-secret' >> /etc/passwd; sleep 60"
    host.release.config = {"COLOUR": "blue-secret"}
    host.release.image = {**host.release.image, "user": "0:0"}
    host.release.save()
    row = _running(host, script)
    cast = host.cast
    found = answer(actions.changes_of(actor=cast.viewer, app=cast.app, container=row))
    assert {(f["path"], f["what"]) for f in found["files"]} == {
        ("etc/group", "removed"),
        ("etc/passwd", "changed"),
        ("tmp/colour", "added"),
    }
    assert "blue-secret" not in str(found)
    again = actions.changes_of(actor=cast.viewer, app=cast.app, container=row)
    assert again.status == "queued"  # a container goes on: each look is a new one
    launch.take_down(row, reason="test")
    with pytest.raises(Conflict):
        actions.changes_of(actor=cast.viewer, app=cast.app, container=row)
    inspections.inspect(again.pk)
    again.refresh_from_db()
    assert again.status == "failed" and again.error
    assert again.error["summary"] == f"no container {row.pk} on this host"


def _running(host: Host, script: str) -> Container:
    process = ProcessSpec(name="web", args=("/bin/sh", "-c", script), memory_bytes=64 << 20)
    row = start_process(host.cast.app, host.release, process, 1)
    upper, _ = engine.runtime().written(row.pk)
    end = time.monotonic() + 10
    while "blue-secret" not in (_text(upper / "etc/passwd")):
        assert time.monotonic() < end
        time.sleep(0.02)
    row.refresh_from_db()
    return row


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_an_image_that_is_gone_is_an_answer_too(host: Host) -> None:
    cast = host.cast
    host.release.image = {**host.release.image, "layers": ["sha256:" + "9" * 64]}
    host.release.save()
    asked = actions.look_inside(actor=cast.viewer, app=cast.app, release=host.release)
    inspections.inspect(asked.pk)
    asked.refresh_from_db()
    assert asked.status == "failed" and asked.error
    assert asked.error["summary"] == "layer sha256:999999999999 is not in the image store any more"


def test_a_commit_is_one_more_layer_and_a_release(host: Host, tmp_path: Path) -> None:
    script = "mkdir /srv/new; echo kept > /srv/new/file; echo blue-secret >> /etc/passwd; sleep 60"
    host.release.image = {**_image_of_busybox(), "user": "0:0"}
    host.release.save()
    row = _running(host, script)
    made = commit(actor=host.cast.owner, app=host.cast.app, container=row)
    assert (made.cause, made.note) == ("commit", "Changes of web.1 of v1")
    release = restart(actor=host.cast.owner, app=host.cast.app)  # supersedes it before its turn
    commits.make_image(release)
    release.refresh_from_db()
    assert release.committed == "web.1 of v1"
    assert engine.store().history(release.image["digest"])[-1].created_by == "berth commit of web.1 of v1"
    made_of = provenance(release, [])
    assert (made_of.builder, made_of.changes_of) == ("commit", "web.1 of v1")
    assert made_of.base == host.release.image["digest"]
    assert host.release.build and made_of.source == host.release.build.source.digest, "of the release below"
    assert made_of.version == __version__, "of the Berth that took the changes"
    at = datetime.fromisoformat(made_of.built_at)
    assert timedelta() <= timezone.now() - at < timedelta(minutes=5)
    document = slsa(made_of)
    assert document["runDetails"]["metadata"] == {"finishedOn": made_of.built_at}
    assert [needed["name"] for needed in document["buildDefinition"]["resolvedDependencies"]] == [
        "source",
        "base",
    ]
    document = bill("demo/shop", made_of.base, [], made_of, version=__version__)
    assert document["metadata"]["timestamp"] == made_of.built_at
    layers = release.image["layers"]
    assert layers[:-1] == host.release.image["layers"]
    layer = engine.store().layer_path(layers[-1])
    assert {str(path.relative_to(layer)) for path in layer.rglob("*") if path.is_file()} == {
        "etc/passwd",
        "srv/new/file",
    }
    added = answer(actions.compare_with_base(actor=host.cast.viewer, app=host.cast.app, release=release))
    assert {(change["path"], change["what"]) for change in added["files"]} == {
        ("etc/passwd", "changed"),
        ("srv/new/file", "added"),
    }
    assert "blue-secret" in str(added["files"]) and added["packages"] == []
    assert launch.observe(row).status == "running"
    assert engine.runtime().exec(_spec(row, release), ("true",)).status == 0  # it was thawed


def test_a_commit_of_what_ended_says_so(host: Host) -> None:
    host.release.image = {**host.release.image, "user": "0:0"}
    host.release.save()
    row = _running(host, "echo blue-secret >> /etc/passwd; sleep 60")
    release = commit(actor=host.cast.owner, app=host.cast.app, container=row)
    launch.take_down(row, reason="test")
    with pytest.raises(StepFailed, match="ended before its changes"):
        commits.make_image(release)


def test_a_container_that_changed_nothing_makes_no_commit(host: Host) -> None:
    """What the runtime made is not its own: /etc/hosts, and that overlayfs copied /etc up for it."""
    host.release.image = _image_of_busybox(without=("etc/hostname",))
    host.release.save()
    process = ProcessSpec(name="web", args=("/bin/sleep", "60"), memory_bytes=64 << 20)
    row = start_process(host.cast.app, host.release, process, 1)
    row.refresh_from_db()
    release = commit(actor=host.cast.owner, app=host.cast.app, container=row)
    with pytest.raises(StepFailed, match="files are those of its image"):
        commits.make_image(release)


def _image_of_busybox(without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The base layer as the store knows one, so that an image can be made on top of it."""
    store = engine.store()
    info = store.commit_changeset(store.layer_path(BASE), exclude=without)
    return to_json(store.put_image(ImageConfig().with_layer(info.diff_id, History("busybox"))))


def _spec(row: Container, release: Release) -> ContainerSpec:
    return process_container(row, release, image(release), processes(release)[0])
