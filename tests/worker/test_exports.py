"""A release's image as a file: whole or not there, and gone when nobody may have it any more."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from paas.oci.digest import hex_of
from paas.paths import Paths
from paas.worker import engine, exports
from paas.worker.provenance import said_of
from tenants.registries import actions
from tenants.registries.models import Export
from tenants.releases.models import Release
from tests.images.foreign import Foreign, layout, packed
from tests.web.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def state(settings: Any, tmp_path: Path) -> Iterator[Paths]:
    settings.PATHS = Paths(state=tmp_path / "state", run=tmp_path / "run")
    settings.GROUP = "root"
    settings.PATHS.exports.mkdir(parents=True)
    engine.store.cache_clear()
    yield settings.PATHS
    engine.store.cache_clear()


@pytest.fixture
def image(cast: Cast, state: Paths) -> Foreign:
    """What the cast's release has in the store."""
    image = Foreign()
    loaded = engine.store().load_archive(packed(layout(image)))
    release = cast.app.releases.get()
    Release.objects.filter(pk=release.pk).update(image={**release.image, "digest": loaded.digest})
    return image


def exported(cast: Cast) -> Export:
    made = actions.export(actor=cast.developer, app=cast.app, release=cast.app.releases.get())
    exports.settle(made.pk)
    made.refresh_from_db()
    return made


def names(state: Paths) -> list[str]:
    return sorted(path.name for path in state.exports.iterdir())


def test_what_is_exported_is_the_image_with_its_digests_and_its_name(
    cast: Cast, state: Paths, image: Foreign
) -> None:
    made = exported(cast)
    assert (made.status, made.error) == ("done", None)
    file = state.exports / made.pk
    assert (file.stat().st_size, file.stat().st_mode & 0o777) == (made.size, 0o640)
    with file.open("rb") as stream:
        assert engine.store().load_archive(stream).digest == image.digest
    with tarfile.open(file) as tar:
        listed = tar.extractfile("manifest.json")
        assert listed and json.load(listed)[0]["RepoTags"] == ["demo/shop:v1"]
        files = [file.read() for file in map(tar.extractfile, tar) if file]
    said = [json.loads(data) for data in files if data.startswith(b'{"_type":')]
    provenance, bill = sorted(said, key=lambda statement: str(statement["predicateType"]), reverse=True)
    assert provenance["predicate"]["runDetails"]["builder"]["id"] == "berth:python"
    assert bill["predicate"]["bomFormat"] == "CycloneDX"
    for statement in said:
        assert statement["subject"] == [{"name": "demo/shop:v1", "digest": {"sha256": hex_of(image.digest)}}]
    exports.settle(made.pk)
    assert names(state) == [made.pk]


def test_an_image_larger_than_the_tenants_disk_leaves_no_file(cast: Cast, state: Paths, image: Foreign) -> None:
    cast.tenant.disk_bytes = 2000
    cast.tenant.save()
    made = exported(cast)
    assert made.status == "failed" and made.error
    assert made.error["summary"] == "the image is larger than the tenant's disk"
    assert names(state) == []
    cast.tenant.disk_bytes = 1 << 30
    cast.tenant.save()
    assert exported(cast).status == "done", "one that failed is done again"


def test_an_image_that_is_not_kept_any_more_is_told(cast: Cast, state: Paths) -> None:
    made = exported(cast)
    assert made.status == "failed" and names(state) == []


def test_files_go_with_their_rows(cast: Cast, state: Paths, image: Foreign) -> None:
    made = exported(cast)
    (state.exports / "ffffffffffff").touch()
    (state.exports / ".ffffffffffff").touch()
    exports.clear()
    assert names(state) == [made.pk]
    Export.objects.update(finished_at=timezone.now() - timedelta(minutes=61))
    exports.clear()
    assert names(state) == [] and not Export.objects.exists()


def test_an_export_that_is_cancelled_while_it_is_written_leaves_no_file(
    cast: Cast, state: Paths, image: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled_meanwhile(release: Release) -> Any:
        actions.cancel_export(actor=cast.developer, export=Export.objects.get(status="running"))
        assert len(names(state)) == 1
        return said_of(release)

    monkeypatch.setattr(exports, "said_of", cancelled_meanwhile)
    made = exported(cast)
    assert (made.status, made.error, names(state)) == ("cancelled", None, [])
    assert made.finished_at


def test_an_export_whose_worker_died_is_done_again(cast: Cast, state: Paths, image: Foreign) -> None:
    made = actions.export(actor=cast.developer, app=cast.app, release=cast.app.releases.get())
    Export.objects.update(status="running", attempts=1)
    (state.exports / f".{made.pk}").write_bytes(b"half of it")
    exports.clear()
    assert names(state) == [f".{made.pk}"], "somebody may be writing it"
    assert exports.requeue_interrupted() == [made.pk]
    exports.settle(made.pk)
    assert names(state) == [made.pk]
    Export.objects.update(status="running", attempts=3)
    assert exports.requeue_interrupted() == []
    made.refresh_from_db()
    assert made.status == "failed" and made.error and "interrupted again and again" in made.error["summary"]
