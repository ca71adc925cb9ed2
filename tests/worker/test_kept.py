"""What is kept for a tenant on the machine's own disk has an end, and a neighbour's builds go on beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paas.errors import Refused
from paas.images import Store
from paas.images.tenant_store import BYTES_A_FILE, TenantStore, owned, owned_bytes
from paas.oci.digest import hex_of
from paas.worker import engine, kept, upkeep
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.releases.models import Build
from tests.images.test_store import KEY, age
from tests.web.cast import Cast, make_build
from tests.worker.host import Host
from tests.worker.test_builds import queued, run

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
MIB = 1024 * 1024


@pytest.fixture
def store(tmp_path: Path, settings: Any) -> Iterator[Store]:
    settings.PATHS = settings.PATHS.__class__(state=tmp_path / "state", run=tmp_path / "run")
    settings.GROUP = "root"
    engine.store.cache_clear()
    yield engine.store()
    engine.store.cache_clear()


def changes(folder: Path, name: str, size: int) -> Path:
    """An upper folder with one file."""
    upper = folder / name
    upper.mkdir()
    (upper / name).write_bytes(name[:1].encode() * size)
    return upper


def test_layers_count_for_whoever_brings_them_until_they_are_gone(store: Store, tmp_path: Path) -> None:
    mine, theirs = (TenantStore(store, name, 3 * MIB, name) for name in ("mine", "theirs"))
    layer = mine.commit_changeset(changes(tmp_path, "a", MIB))
    assert owned_bytes(store, "mine") == MIB + BYTES_A_FILE and owned_bytes(store, "theirs") == 0
    mine.commit_changeset(tmp_path / "a")
    theirs.commit_changeset(tmp_path / "a")
    assert owned_bytes(store, "mine") == owned_bytes(store, "theirs") == MIB + BYTES_A_FILE
    assert owned(store, "mine") == {layer.diff_id}
    store.commit_changeset(changes(tmp_path, "b", MIB))
    assert owned_bytes(store, "mine") == MIB + BYTES_A_FILE, "what bin/up makes is nobody's"
    store.layer_path(layer.diff_id).rename(tmp_path / "pruned")
    assert owned_bytes(store, "mine") == 0 and owned(store, "mine") == frozenset()


def test_a_layer_that_would_pass_the_end_is_refused_while_it_is_read(store: Store, tmp_path: Path) -> None:
    mine = TenantStore(store, "mine", 2 * MIB, "demo")
    mine.commit_changeset(changes(tmp_path, "a", MIB))
    with pytest.raises(Refused, match="demo has no room left for images") as caught:
        mine.commit_changeset(changes(tmp_path, "b", MIB))
    assert "prune" in caught.value.hint
    assert (
        owned_bytes(store, "mine") == MIB + BYTES_A_FILE and len(list((store.root / "layers").iterdir())) == 1
    )
    TenantStore(store, "theirs", 2 * MIB, "other").commit_changeset(tmp_path / "b")


def failed(build: Build) -> str:
    build.refresh_from_db()
    assert build.status == "failed" and build.error is not None
    return str(build.error["summary"])


def test_a_build_above_it_is_refused_and_a_neighbours_is_not(host: Host, tmp_path: Path) -> None:
    cast, store = host.cast, engine.store()
    Tenant.objects.filter(pk=cast.tenant.pk).update(store_bytes=MIB)
    TenantStore(store, cast.tenant.pk, 9 * MIB, "x").commit_changeset(changes(tmp_path, "a", MIB))
    mine, theirs = queued(cast.app, cast.owner), queued(cast.others_app, cast.stranger)
    run(times=2)
    assert failed(mine).startswith("no room for a build: demo keeps 1 MiB of images, sources and logs")
    theirs.refresh_from_db()
    assert theirs.status == "succeeded", theirs.error
    assert owned_bytes(store, cast.other.pk) > 0
    with pytest.raises(Refused, match="demo keeps 1 MiB of images, sources and logs on this machine"):
        make_build(App.objects.get(pk=cast.app.pk), cast.owner)
    make_build(cast.others_app, cast.stranger)


def test_sources_and_logs_count_and_old_logs_go_first(store: Store, cast: Cast, settings: Any) -> None:
    builds = [make_build(cast.app, cast.owner) for _ in range(3)]
    for build in builds:
        path = settings.PATHS.build_log(build.pk)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(MIB))
        Build.objects.filter(pk=build.pk).update(status="failed")
    kept.look()
    tenant = Tenant.objects.get(pk=cast.tenant.pk)
    sources = sum(path.stat().st_size for path in settings.PATHS.sources.iterdir())
    assert tenant.store_used == 3 * MIB + sources
    Tenant.objects.filter(pk=tenant.pk).update(store_bytes=21 * MIB)
    kept.look()
    there = [settings.PATHS.build_log(build.pk).exists() for build in builds]
    assert there == [False, True, True], "two of a MiB are a tenth"


def test_steps_of_a_tenant_near_its_end_are_pruned_early(
    store: Store, cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = TenantStore(store, cast.tenant.pk, 9 * MIB, "demo")
    layer = mine.commit_changeset(changes(tmp_path, "a", MIB)).diff_id
    mine.remember_step(KEY, layer)
    age(store, upkeep.GRACE_SECONDS + 60)
    kept.look()
    assert not kept.hurried() and upkeep.prune(dry_run=True)["steps"] == 0
    Tenant.objects.filter(pk=cast.tenant.pk).update(store_bytes=MIB)
    assert kept.hurried() == {layer}
    assert upkeep.prune(dry_run=False)["steps"] == 1
    assert not (store.root / "layers" / hex_of(layer)).exists()
    kept.look()
    assert not kept.almost_full()
