"""A build of what was built before is answered by that, and only when making it would give the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from paas.oci.digest import hex_of
from paas.worker import builds, engine
from tenants.apps.models import App, ConfigVar
from tenants.releases import unchanged
from tenants.releases.actions import deploy_again
from tenants.releases.models import Build, Release
from tests.web.cast import go_live
from tests.worker.test_builds import queued
from tests.worker.workbench import Workbench, source_of

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
FROM = f"FROM {engine.base_image()}\n"
DOCKERFILE = FROM + 'COPY . /srv/\nCMD ["/srv/file"]\n'
SECRET = FROM + 'RUN --mount=type=secret,id=TOKEN cp /run/secrets/TOKEN /seen\nCMD ["/seen"]\n'
Change = Callable[[Workbench, Release, pytest.MonkeyPatch], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def none_waits(bench: Workbench) -> None:
    Build.objects.all().delete()


def made(bench: Workbench, dockerfile: str = DOCKERFILE) -> tuple[Build, str]:
    """A build of it, from the upload on, and its log."""
    build = queued(bench.host.cast.app, bench.host.cast.owner, dockerfile)
    builds.run_next()
    build.refresh_from_db()
    return build, settings.PATHS.build_log(build.pk).read_text()


def is_answered_by_rows(bench: Workbench, build: Build) -> bool:
    """A deploy of the same by its digest, taken back."""
    host = bench.host.cast
    app = App.objects.select_related("tenant").get(pk=host.app.pk)
    with transaction.atomic():
        again = deploy_again(actor=host.owner, app=app, digest=build.source.digest)
        transaction.set_rollback(True)
    return again.build.status == Build.Status.SUCCEEDED


def is_answered(log: str) -> bool:
    return "Nothing is built." in log


def test_the_same_source_again_is_the_same_image_and_a_release(bench: Workbench) -> None:
    first, log = made(bench)
    assert not is_answered(log)
    second, log = made(bench)
    assert is_answered(log)
    assert first.pk in log
    assert log.splitlines()[-1].endswith("released as v3.")
    one, other = (build.releases.get() for build in (first, second))
    for column in ("image", "processes", "health", "release_command", "volumes", "defaults", "config"):
        assert getattr(one, column) == getattr(other, column), column
    for column in ("status", "builder", "builder_version", "base", "steps_total"):
        assert getattr(first, column) == getattr(second, column), column
    assert second.steps_cached == second.steps_total == 1
    assert not source_of(second).exists()


def test_processes_have_the_counts_that_were_chosen_since(bench: Workbench) -> None:
    made(bench)
    App.objects.filter(pk=bench.host.cast.app.pk).update(formation={"web": 3})
    build, log = made(bench)
    assert is_answered(log)
    assert [process["count"] for process in build.releases.get().processes] == [3]


@contextmanager
def base_made_again(bench: Workbench, release: Release, patch: pytest.MonkeyPatch) -> Iterator[None]:
    name = engine.base_image()
    before = engine.store().resolve(name)
    layer = bench.source({"etc/fixed": "since"})
    bench.tag(name, layer)
    yield
    engine.store().tag(name, before)


@contextmanager
def base_gone(bench: Workbench, release: Release, patch: pytest.MonkeyPatch) -> Iterator[None]:
    name = engine.base_image()
    before = engine.store().resolve(name)
    engine.store().untag(name)
    yield
    engine.store().tag(name, before)


@contextmanager
def another_stage(bench: Workbench, release: Release, patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr(release.app, "stage", "staging")
    App.objects.filter(pk=release.app_id).update(stage="staging")
    yield
    App.objects.filter(pk=release.app_id).update(stage="production")


@contextmanager
def another_berth(bench: Workbench, release: Release, patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr(unchanged, "_CODE", "a later one")
    yield


@contextmanager
def another_environment(bench: Workbench, release: Release, patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr(settings, "BUILD_ENV", {"PIP_INDEX_URL": "http://elsewhere"})
    yield


@contextmanager
def layer_gone(bench: Workbench, release: Release, patch: pytest.MonkeyPatch) -> Iterator[None]:
    layer = engine.store().layer_path(release.image["layers"][-1])
    shutil.move(layer, layer.with_name("elsewhere"))
    yield
    if not layer.exists():
        shutil.move(layer.with_name("elsewhere"), layer)


@contextmanager
def manifest_damaged(bench: Workbench, release: Release, patch: pytest.MonkeyPatch) -> Iterator[None]:
    path: Path = settings.PATHS.store / "blobs/sha256" / hex_of(release.image["digest"])
    before = path.read_bytes()
    path.write_bytes(before + b" ")
    yield
    path.write_bytes(before)


@contextmanager
def image_told_gone(bench: Workbench, release: Release, patch: pytest.MonkeyPatch) -> Iterator[None]:
    Release.objects.filter(app=release.app_id).update(image_gone=True)
    yield
    Release.objects.filter(app=release.app_id).update(image_gone=False)


def finished(at: timedelta) -> Change:
    @contextmanager
    def change(bench: Workbench, release: Release, patch: pytest.MonkeyPatch) -> Iterator[None]:
        Build.objects.filter(app=release.app_id).update(finished_at=timezone.now() + at)
        yield

    return change


# By who looks: no row tells of them until a roll-out or a check did.
ONLY_SEEN: dict[str, Change] = {"a layer is gone": layer_gone, "its manifest is damaged": manifest_damaged}
CHANGES: dict[str, Change] = {
    "its base was made again": base_made_again,
    "its base is gone": base_gone,
    "the app's stage": another_stage,
    "Berth's code": another_berth,
    "the operator's environment": another_environment,
    **ONLY_SEEN,
    "its image was pruned": image_told_gone,
    "it is older than a day": finished(-timedelta(days=1, minutes=1)),
    "the clock was set back": finished(timedelta(hours=1)),
}


def test_whatever_else_changed_it_is_built(bench: Workbench) -> None:
    for what, change in CHANGES.items():
        Build.objects.all().delete()
        build, _ = made(bench)
        go_live(build.releases.get())
        assert is_answered_by_rows(bench, build), what
        with pytest.MonkeyPatch.context() as patch, change(bench, build.releases.get(), patch):
            assert is_answered_by_rows(bench, build) == (what in ONLY_SEEN), what
            assert not is_answered(made(bench)[1]), what


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_did_not_succeed_answers_nothing(bench: Workbench, status: str) -> None:
    build, _ = made(bench, "FROM scratch\nCOPY nothing /\n")
    assert (build.status, build.key) == ("failed", "")
    before, _ = made(bench)
    Build.objects.filter(pk=before.pk).update(status=status)
    assert not is_answered(made(bench)[1])


def test_neither_does_an_answer_nor_one_with_a_secret_nor_another_app(bench: Workbench) -> None:
    first, _ = made(bench)
    assert is_answered(made(bench)[1])
    first.delete()
    assert not is_answered(made(bench)[1])
    cast = bench.host.cast
    build = queued(cast.others_app, cast.stranger, DOCKERFILE)
    builds.run_next()
    assert not is_answered(settings.PATHS.build_log(build.pk).read_text())

    ConfigVar.objects.create(app=cast.app, key="TOKEN", value="one")
    assert made(bench, SECRET)[0].key == ""
    assert not is_answered(made(bench, SECRET)[1])
