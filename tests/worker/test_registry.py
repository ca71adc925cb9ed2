"""Images to registries and back, in the tenant's fences; and registries that lie."""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from paas.images.tools import tools_layer
from paas.oci.attestation import CYCLONEDX, PROVENANCE
from paas.oci.digest import hex_of, of_bytes
from paas.paths import Paths
from paas.specs import HealthCheck
from paas.worker import builds, engine, registry, runs
from paas.worker.provenance import said_of
from tenants.containers.models import Container
from tenants.registries import actions
from tenants.registries.models import Push
from tenants.releases import actions as releases
from tenants.releases import serial
from tenants.releases.models import Build, Release
from tenants.runs.actions import start_run
from tenants.runs.logs import read_run_log
from tenants.runs.models import Run
from tests.images.test_store import objects
from tests.worker.host import Host
from tests.worker.registries import (
    ADDRESS,
    CLOSED,
    HOSTILE,
    OPEN,
    PASSWORD,
    USERNAME,
    Outside,
    listed_first,
    put_busybox,
)
from tests.worker.test_build_steps import wait_until

CHECK = HealthCheck(command=("/bin/sh", "-c", "test -e /bin/busybox"), timeout=90.0, interval=1.0,
                    attempt_timeout=2.0)  # fmt: skip
pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]


def pushed(host: Host, image: str) -> Push:
    made = actions.push(actor=host.cast.developer, app=host.cast.app, release=host.release, image=image)
    registry.settle_push(made.pk)
    made.refresh_from_db()
    return made


def deployed(host: Host, image: str) -> Build:
    build = actions.deploy_image(actor=host.cast.developer, app=host.cast.app, image=image)
    builds.run_next()
    build.refresh_from_db()
    return build


def built(host: Host, dockerfile: str) -> Build:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(dockerfile)
        tar.addfile(info, io.BytesIO(dockerfile.encode()))
    cast = host.cast
    source = releases.upload_source(
        actor=cast.developer, app=cast.app, kind="tar.gz", name="x", chunks=[out.getvalue()]
    )
    build = releases.start_build(actor=cast.developer, app=cast.app, source=source)
    builds.run_next()
    build.refresh_from_db()
    return build


def release_of(build: Build) -> Release:
    assert build.status == "succeeded", (build.error, log_of(build))
    return build.releases.get()


def log_of(build: Build) -> str:
    paths: Paths = settings.PATHS
    return paths.build_log(build.pk).read_text()


def summary(failed: Build | Push) -> str:
    assert failed.status == "failed" and failed.error is not None
    return str(failed.error["summary"])


def said(host: Host, release: Release, command: list[str]) -> list[str]:
    """What a command prints in a container of the release."""
    Release.objects.filter(pk=release.pk).update(status="live")
    type(host.cast.app).objects.filter(pk=host.cast.app.pk).update(serving_release_id=release.pk)
    host.cast.app.refresh_from_db()
    run = start_run(actor=host.cast.developer, app=host.cast.app, command=command)
    runs.settle(run.pk)
    row = Run.objects.get(pk=run.pk).container
    assert row is not None, Run.objects.get(pk=run.pk).error
    engine.runtime().wait(row.pk, 20)
    runs.settle(run.pk)
    return [line.text for line in read_run_log(Run.objects.select_related("container").get(pk=run.pk)).lines]


def test_an_image_goes_out_and_comes_back(host: Host, world: Outside) -> None:
    name = f"{OPEN}/demo/shop"
    with world.registry(OPEN):
        push = pushed(host, f"{name}:v1")
        assert push.status == "done", push.error
        inspect = ("skopeo", "inspect", "--tls-verify=false")
        assert json.loads(world(*inspect, f"docker://{name}:v1"))["Digest"] == push.digest
        digest = listed_first(world, f"{name}:v1")
        for image in (f"{name}:v1", f"{name}@{push.digest}", f"{name}@{digest}"):
            release = release_of(deployed(host, image))
            assert release.image["digest"] == digest, "the registry's own manifest, byte for byte"
            assert release.image["layers"] == host.release.image["layers"]
            assert serial.health(release) == CHECK
            provenance, _ = said_of(release)
            assert provenance.body["buildDefinition"]["resolvedDependencies"] == [
                {"name": image, "digest": {"sha256": hex_of(digest)}}
            ]
        assert said(host, release, ["echo", "aboard"]) == ["aboard"]
        again = actions.push(actor=host.cast.owner, app=host.cast.app, release=release, image=f"{name}:v2")
        registry.settle_push(again.pk)
        again.refresh_from_db()
        assert again.status == "done", again.error
        assert listed_first(world, f"{name}:v2") == digest, "what came compressed goes out as it came"
        wrong = deployed(host, f"{name}@{of_bytes(b'another')}")
        assert "pulling" in summary(wrong)
        build = built(
            host, f"FROM {name}:v1\nCOPY --from={name}:v1 /bin/busybox /bin/boat\nRUN echo hi > /tmp/hi\n"
        )
        assert build.key == "", "whether its base moved, the registry must be asked again"
        assert build.bases == [[f"{name}:v1", digest]]
        made = release_of(build)
        assert made.image["layers"][0] == host.release.image["layers"][0]
        assert serial.health(made) == CHECK, "whoever pulls an image and whoever builds on it checks alike"
        assert said(host, made, ["/bin/sh", "-c", "cat /tmp/hi; ls /bin/boat"]) == ["hi", "/bin/boat"]
    assert host_is_clean(host)


def test_a_lost_image_is_pulled_again_by_its_digest_and_no_other_instead(host: Host, world: Outside) -> None:
    name = f"{OPEN}/demo/shop:v1"
    with world.registry(OPEN):
        assert pushed(host, name).status == "done"
        release = release_of(deployed(host, name))
        host.release.image = {**host.release.image, "digest": put_busybox(engine.store(), "another one")}
        host.release.save()
        assert pushed(host, name).status == "done"
        assert listed_first(world, name) != release.image["digest"], "its tag means another by now"
        assert release_of(again(host, release)).image == release.image
    (world.folder / OPEN.replace(":", "-")).rename(world.folder / "former")
    with world.registry(OPEN):
        host.release.refresh_from_db()
        assert pushed(host, name).status == "done", "the name is there, and not the image"
        assert "pulling" in summary(again(host, release))
    assert host_is_clean(host)


def again(host: Host, release: Release) -> Build:
    build = releases.build_again(actor=host.cast.developer, release=release)
    builds.run_next()
    build.refresh_from_db()
    return build


def test_what_is_pushed_says_where_it_comes_from_and_what_is_in_it(
    host: Host, world: Outside, tmp_path: Path
) -> None:
    """Of the image as the registry has it, whose layers are compressed."""
    image = f"{OPEN}/demo/told:v1"
    with world.registry(OPEN):
        assert pushed(host, image).status == "done"
        digest = listed_first(world, image)
        copy = ("skopeo", "copy", "--src-tls-verify=false", f"docker://{image}")
        world(*copy, "--all", f"dir:{tmp_path / 'all'}")
        world(*copy, f"dir:{tmp_path / 'one'}")
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert of_bytes((tmp_path / "one" / "manifest.json").read_bytes()) == digest
    assert {layer["mediaType"].rpartition("+")[2] for layer in manifest["layers"]} == {"gzip"}
    files = [path.read_bytes() for path in (tmp_path / "all").iterdir()]
    said = [json.loads(data) for data in files if data.startswith(b'{"_type":')]
    assert {statement["predicateType"] for statement in said} == {PROVENANCE, CYCLONEDX}
    for statement in said:
        assert statement["subject"] == [{"name": image, "digest": {"sha256": hex_of(digest)}}]
    assert host_is_clean(host)


def test_an_image_goes_out_by_its_digest_and_nothing_of_it_is_changed(host: Host, world: Outside) -> None:
    digest = host.release.image["digest"]
    image = f"{OPEN}/demo/exact@{digest}"
    with world.registry(OPEN):
        push = pushed(host, image)
        assert (push.status, push.digest) == ("done", digest), push.error
        raw = world("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}")
        assert of_bytes(raw.encode()) == digest
        back = release_of(deployed(host, image)).image
        assert (back["digest"], back["layers"]) == (digest, host.release.image["layers"])
    assert host_is_clean(host)


def host_is_clean(host: Host) -> bool:
    left = [*(settings.PATHS.run / "transfers").iterdir()]
    left += [*(settings.PATHS.disks / host.cast.tenant.pk / "cache").glob("push-*")]
    rows = Container.objects.exclude(status="stopped")
    return host.is_clean() and left == [] and not rows.exists()


def test_a_closed_registry_opens_to_the_tenant_who_signed_in(host: Host, world: Outside) -> None:
    cast, image = host.cast, f"{CLOSED}/demo/shop:v1"
    with world.registry(CLOSED, password=True):
        refused = pushed(host, image)
        assert "pushing" in summary(refused)
        for password, status in (("wrong", "failed"), (PASSWORD, "done")):
            actions.sign_in(
                actor=cast.developer, tenant=cast.tenant, host=CLOSED, username=USERNAME, password=password
            )
            assert pushed(host, image).status == status
        build = deployed(host, image)
        assert release_of(build) and PASSWORD not in log_of(build)
        for container in Container.objects.all():
            log = settings.PATHS.container_log(container.pk)  # a step's goes with its container
            assert not log.exists() or PASSWORD not in log.read_text()
        actions.sign_out(actor=cast.developer, tenant=cast.tenant, host=CLOSED)
        assert deployed(host, image).status == "failed", "that the store has it makes no difference"
    assert host_is_clean(host)


HOSTILE_REGISTRIES = {
    "other-layer": "digest|did not match|does not match|mismatch",
    "loopback": "connection refused",
    "endless": "no space left",
    "diff-id": "its config says sha256:cccc",
}


@pytest.mark.parametrize("behaviour", HOSTILE_REGISTRIES)
def test_a_registry_that_lies_is_an_error_and_nothing_is_kept(
    host: Host, world: Outside, behaviour: str
) -> None:
    tools_layer(engine.store(), "skopeo")
    before = objects(engine.store())
    with world.hostile(behaviour):
        failed = deployed(host, f"{HOSTILE}/evil:1")
    assert re.search(HOSTILE_REGISTRIES[behaviour], summary(failed).lower()), failed.error
    assert objects(engine.store()) == before
    assert host_is_clean(host)


def test_the_liar_would_have_been_heard_had_it_been_honest(host: Host, world: Outside) -> None:
    """And a manifest that is not the one that was asked for by digest is refused by whoever looks first."""
    with world.hostile("honest"):
        assert release_of(deployed(host, f"{HOSTILE}/evil:1")).image["layers"]
        other = deployed(host, f"{HOSTILE}/evil@{of_bytes(b'other')}")
    assert other.status == "failed"


def test_only_allowed_registries_are_asked(host: Host, world: Outside, settings: Any) -> None:
    settings.REGISTRIES = ["registry.example"]
    with world.registry(OPEN):
        build = built(host, f"FROM {OPEN}/demo/shop:v1\n")
    assert f"images of {OPEN} are not allowed on this machine" in summary(build)


def test_an_unknown_name_without_a_registry_is_looked_for_nowhere_else(host: Host, world: Outside) -> None:
    build = built(host, "FROM redis:7\n")
    assert "no base image is called 'redis:7'" in summary(build)
    assert ADDRESS not in log_of(build)


def test_a_push_to_a_registry_that_never_answers_ends_soon_after_its_cancel(host: Host, world: Outside) -> None:
    digest = host.release.image["digest"]
    made = actions.push(
        actor=host.cast.developer, app=host.cast.app, release=host.release, image=f"{OPEN}/demo/shop@{digest}"
    )
    asked_at: list[float] = []

    def cancel() -> None:
        running = Container.objects.filter(process_type="transfer", status="running")
        wait_until(running.exists)
        time.sleep(1.0)  # it waits for the registry
        actions.cancel_push(actor=host.cast.developer, push=made)
        asked_at.append(time.monotonic())
        connections.close_all()

    silent = f"import socket, time; s = socket.create_server(('{ADDRESS}', 5000)); time.sleep(600)"
    with world.serving(sys.executable, "-c", silent, port=5000):
        canceller = threading.Thread(target=cancel)
        canceller.start()
        registry.settle_push(made.pk)
        took = time.monotonic() - asked_at[0]
        canceller.join(10)
    made.refresh_from_db()
    assert (made.status, made.error) == ("cancelled", None)
    assert took < 5.0 and host_is_clean(host)


def test_a_push_whose_worker_died_is_done_again(host: Host, world: Outside) -> None:
    with world.registry(OPEN):
        made = actions.push(
            actor=host.cast.developer, app=host.cast.app, release=host.release, image=f"{OPEN}/demo/shop:v1"
        )
        Push.objects.update(status="running")
        assert registry.requeue_interrupted() == [made.pk]
        registry.settle_push(made.pk)
        made.refresh_from_db()
        assert made.status == "done" and registry.requeue_interrupted() == []
