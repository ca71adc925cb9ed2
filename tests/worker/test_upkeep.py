"""The image store's upkeep from rows: what is kept, whose bytes they are, what is pruned and mended."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from paas.errors import Conflict, NotFound, Refused
from paas.images import Store
from paas.oci.config import History, ImageConfig
from paas.oci.digest import of_bytes
from paas.oci.tar import END, TarEntry, encode
from paas.paths import Paths
from paas.specs import ProcessSpec
from paas.worker import engine, roll_out, upkeep
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.observations import new_container
from tenants.releases import actions
from tenants.releases.kept import kept_of_all, kept_releases
from tenants.releases.models import Build, Release, Source
from tenants.store import selectors
from tenants.store.actions import ask
from tenants.store.models import Size, Upkeep, Use
from tests.images.test_store import age
from tests.web.cast import Cast, go_live, released, report

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
Kind = Upkeep.Kind


@pytest.fixture
def store(tmp_path: Path, settings: Any) -> Iterator[Store]:
    settings.PATHS = Paths(state=tmp_path / "state", run=tmp_path / "run")
    engine.store.cache_clear()
    yield engine.store()
    engine.store.cache_clear()


def layer(store: Store, content: str) -> str:
    data = content.encode()
    tar = encode(TarEntry("file", size=len(data))) + data.ljust(512, b"\0") + END
    return store.import_layer(io.BytesIO(tar), canonical=True).diff_id


def deploy(cast: Cast, store: Store, app: App, *contents: str) -> Release:
    """A release whose image has a layer for each text."""
    config = ImageConfig(cmd=("run",))
    for content in contents:
        config = config.with_layer(layer(store, content), History("step"))
    spec = store.put_image(config)
    processes = (ProcessSpec(name="web", args=("run",)),)
    made = report(processes=processes)
    release = released(app, cast.owner, made)
    release.image = {**release.image, "digest": spec.digest, "layers": list(spec.layers)}
    release.save()
    app.refresh_from_db()
    return release


def done(asked: Upkeep) -> Upkeep:
    upkeep.settle(asked.pk)
    asked.refresh_from_db()
    return asked


def seen_gone(app: App) -> list[int]:
    return list(app.releases.filter(image_gone=True).values_list("version", flat=True))


# --- what is kept
def test_the_last_images_that_were_live_are_kept(cast: Cast, store: Store, settings: Any) -> None:
    settings.KEPT_IMAGES = 3
    made = [deploy(cast, store, cast.app, "base", f"{n}") for n in range(5)]
    assert {row.pk for row in kept_releases(cast.app)} == {row.pk for row in made[2:]}
    assert [(app, rows) for app, rows in kept_of_all() if app == cast.app] == [
        (cast.app, kept_releases(cast.app))
    ]
    for _ in range(4):  # four releases of one image take no room from others
        go_live(actions.restart(actor=cast.owner, app=cast.app))
    kept = upkeep.kept()
    assert kept.images == {row.image["digest"] for row in made[2:]}


def test_what_serves_waits_failed_last_or_runs_is_kept_however_old(
    cast: Cast, store: Store, settings: Any
) -> None:
    settings.KEPT_IMAGES = 1
    serving, ran, old, live = (
        deploy(cast, store, cast.app, text) for text in ("serving", "ran", "old", "live")
    )
    App.objects.filter(pk=cast.app.pk).update(serving_release_id=serving.pk)
    pending = actions.restart(actor=cast.owner, app=cast.app)
    new_container(
        app=cast.app,
        release=ran,
        build=None,
        kind=Container.Kind.COMMAND,
        process_type="run",
        index=1,
        memory_limit=1,
    )
    cast.app.refresh_from_db()
    kept = upkeep.kept()
    digests = {row.image["digest"] for row in (serving, ran, live, pending)}
    assert kept.images == digests and old.image["digest"] not in digests
    assert set(ran.image["layers"]) <= kept.layers


# --- prune
def test_prune_first_says_what_it_would_free_and_keeps_what_is_needed(
    cast: Cast, store: Store, settings: Any
) -> None:
    settings.KEPT_IMAGES = 1
    old = deploy(cast, store, cast.app, "base", "old" * 100)
    new = deploy(cast, store, cast.app, "base", "new" * 100)
    age(store, 1e6)
    told = done(ask(actor=cast.admin, kind="look"))
    assert told.status == "done" and store.is_complete(old.image["digest"])
    assert (told.report["layers"], told.report["layer_bytes"], told.report["blobs"]) == (1, 300, 2)
    freed = done(ask(actor=cast.admin, kind="prune"))
    assert {**freed.report, "dry_run": True} == told.report
    assert not store.is_complete(old.image["digest"]) and store.is_complete(new.image["digest"])
    assert selectors.latest((Kind.LOOK, Kind.PRUNE)) == freed


def test_releases_whose_image_went_or_came_back_are_known(cast: Cast, store: Store, settings: Any) -> None:
    settings.KEPT_IMAGES = 1
    old, new = (deploy(cast, store, cast.app, "base", text) for text in ("old", "new"))
    age(store, 1e6)
    cast.app.releases.filter(version=1).delete()
    done(ask(actor=cast.admin, kind="prune"))
    assert seen_gone(cast.app) == [old.version] and store.is_complete(new.image["digest"])
    again = deploy(cast, store, cast.app, "base", "old")
    roll_out.demand_image(again)
    assert seen_gone(cast.app) == []
    Release.objects.filter(pk=new.pk).update(image_gone=True)
    upkeep.observe()
    assert seen_gone(cast.app) == []


def test_what_is_about_to_run_outlives_a_prune_that_did_not_know_of_it(
    cast: Cast, store: Store, settings: Any
) -> None:
    settings.KEPT_IMAGES = 1
    old, lost, _ = (deploy(cast, store, cast.app, text) for text in ("old", "lost", "new"))
    needed = upkeep.kept()
    age(store, 1e6)
    roll_out.demand_image(old)
    store.prune(needed.images, keep_layers=needed.layers, grace=upkeep.GRACE_SECONDS)
    assert store.is_complete(old.image["digest"])
    with pytest.raises(NotFound, match="no longer kept"):
        roll_out.demand_image(lost)
    assert seen_gone(cast.app) == [lost.version]


def test_a_second_message_does_nothing_and_a_lost_one_is_found(cast: Cast, store: Store) -> None:
    asked = ask(actor=cast.admin, kind="prune")
    with pytest.raises(Conflict):
        ask(actor=cast.admin, kind="prune")
    assert upkeep.requeue_interrupted() == [asked.pk]
    Upkeep.objects.update(status="running")  # its worker died: nobody holds the lock
    assert upkeep.requeue_interrupted() == [asked.pk]
    first = done(asked).finished_at
    assert done(asked).finished_at == first and upkeep.requeue_interrupted() == []


def test_only_an_administrator_may_ask(cast: Cast) -> None:
    with pytest.raises(Refused):
        ask(actor=cast.owner, kind="prune")
    assert not Upkeep.objects.exists()


# --- fsck
def test_damage_is_told_with_the_releases_that_it_concerns(cast: Cast, store: Store) -> None:
    release = deploy(cast, store, cast.app, "base", "app")
    Release.objects.exclude(pk=release.pk).delete()  # their images are in no store
    (store.layer_path(release.image["layers"][1]) / "file").write_text("bad")
    (found,) = done(ask(actor=cast.admin, kind="check")).report["damage"]
    assert found["id"] == release.image["layers"][1] and found["outcome"] == ""
    assert found["releases"] == [f"demo/shop v{release.version}"]
    report = done(ask(actor=cast.admin, kind="mend")).report
    assert (report["mended"], report["lost"], report["building"]) == (0, 1, found["releases"])
    assert report["damage"] == [{**found, "outcome": "removed"}]
    release.refresh_from_db()
    assert release.image_gone
    (still,) = done(ask(actor=cast.admin, kind="check")).report["damage"]  # it serves, and is not built yet
    assert (still["id"], still["what"]) == (found["id"], "it is not there")
    App.objects.update(serving_release_id="")
    assert done(ask(actor=cast.admin, kind="check")).report["damage"] == []


def test_a_layer_that_is_missing_is_told_and_what_serves_it_is_built_again(cast: Cast, store: Store) -> None:
    release = deploy(cast, store, cast.app, "base", "app")
    Release.objects.exclude(pk=release.pk).delete()  # their images are in no store
    lost = release.image["layers"][1]
    store.layer_path(lost).rename(store.root / "lost+found")
    (found,) = done(ask(actor=cast.admin, kind="check")).report["damage"]
    assert (found["id"], found["what"]) == (lost, "it is not there")
    report = done(ask(actor=cast.admin, kind="mend")).report
    assert (report["lost"], report["building"]) == (1, [f"demo/shop v{release.version}"])


def mended(cast: Cast, store: Store, release: Release) -> dict[str, Any]:
    """What mending says when its topmost layer is rotten."""
    Release.objects.exclude(app=release.app, image__digest=release.image["digest"]).delete()  # in no store
    (store.layer_path(release.image["layers"][-1]) / "file").write_text("rotten")
    return dict(done(ask(actor=cast.admin, kind="mend")).report)


@pytest.mark.parametrize("stands_on", ["itself", "config", "rollback"])
def test_a_commit_that_is_lost_is_told_and_nothing_is_built(cast: Cast, store: Store, stands_on: str) -> None:
    """Its build gives the image without the commit: that must not take the place of what serves."""
    release = deploy(cast, store, cast.app, "base", "changes")
    Release.objects.filter(pk=release.pk).update(commit="web.1 of v1", cause="commit")
    if stands_on == "config":
        actions.set_config(actor=cast.owner, app=cast.app, changes={"A": "1"})
    elif stands_on == "rollback":
        released(cast.app, cast.owner)
        actions.rollback(actor=cast.owner, app=cast.app, version=release.version)
    serves = cast.app.releases.latest("version")
    if serves != release:
        go_live(serves)
    builds = Build.objects.count()
    report = mended(cast, store, serves)
    assert (report["lost"], report["building"], Build.objects.count()) == (1, [], builds)
    serves.refresh_from_db()
    assert (serves.status, serves.image_gone) == ("live", True)


@pytest.mark.parametrize("name", ["registry.example/shop:v1", f"registry.example/shop@{of_bytes(b'an index')}"])
def test_an_image_of_a_registry_that_is_lost_is_fetched_by_its_own_digest(
    cast: Cast, store: Store, name: str
) -> None:
    """A tag may mean another by now, and that would go live unasked."""
    release = deploy(cast, store, cast.app, "base", "pulled")
    assert release.build
    Source.objects.filter(pk=release.build.source_id).update(kind="image", name=name)
    assert mended(cast, store, release)["building"] == [f"demo/shop v{release.version}"]
    again = Build.objects.get(status="queued").source
    assert (again.kind, again.name) == ("image", f"registry.example/shop@{release.image['digest']}")


def test_an_image_whose_name_takes_no_digest_is_lost(cast: Cast, store: Store) -> None:
    release = deploy(cast, store, cast.app, "base", "pulled")
    assert release.build
    Source.objects.filter(pk=release.build.source_id).update(
        kind="image", name=f"registry.example/{'a' * 150}:v1"
    )
    assert mended(cast, store, release)["building"] == []


# --- whose bytes
def test_shares_are_seen_in_rows(cast: Cast, store: Store) -> None:
    deploy(cast, store, cast.app, "base", "1" * 10)
    deploy(cast, store, cast.app, "base", "2" * 20)
    deploy(cast, store, cast.others_app, "base", "3" * 30)
    upkeep.observe()
    upkeep.observe()
    use = selectors.use_of(cast.app)
    assert use is not None and (use.bytes, use.unique_bytes) == (34, 30)
    assert [(v, row.bytes, row.unique_bytes) for v, row in selectors.releases_of(cast.app)][:2] == [
        (3, 24, 20), (2, 14, 10),
    ]  # fmt: skip
    largest = {(tenant.slug, row.unique_bytes) for tenant, row in selectors.largest()}
    assert largest == {("demo", 30), ("other", 30)}
    size = Size.objects.get()
    assert (size.layers, size.layer_bytes, size.unshared_bytes) == (4, 64, 24 + 14 + 34)
    App.objects.filter(pk=cast.others_app.pk).update(serving_release_id="")
    Release.objects.filter(app=cast.others_app).delete()
    upkeep.observe()
    assert not Use.objects.filter(owner_id=cast.others_app.pk).exists()


def test_a_base_images_layers_are_nobodys_own(cast: Cast, store: Store) -> None:
    release = deploy(cast, store, cast.app, "base", "1" * 10)
    base = store.put_image(ImageConfig(cmd=("sh",)).with_layer(release.image["layers"][0], History("base")))
    store.tag("debian:12", base.digest)
    upkeep.observe()
    use = selectors.use_of(cast.app)
    assert use is not None and (use.bytes, use.unique_bytes) == (14, 10)


# --- by itself
@pytest.mark.parametrize(
    ("hour", "used", "since", "due"),
    [
        (3, 85, None, True),
        (3, 85, timedelta(hours=24), True),
        (3, 85, timedelta(minutes=30), False),
        (3, 85, timedelta(hours=-1), False),  # the clock was set back
        (3, 79, None, False),
        (15, 85, None, False),
        (15, 96, None, True),
        (15, 96, timedelta(minutes=10), False),
        (15, 96, timedelta(hours=2), True),
    ],
)
def test_when_it_is_due(hour: int, used: float, since: timedelta | None, due: bool) -> None:
    now = datetime(2026, 1, 1, hour, 30, tzinfo=UTC)
    assert upkeep.is_due(now, used, since) is due


def test_it_is_asked_for_once(cast: Cast) -> None:
    night = datetime.now(UTC).replace(hour=3)
    upkeep.at_night(night, 90)
    upkeep.at_night(night, 90)
    asked = Upkeep.objects.get()
    assert (asked.kind, asked.created_by) == ("prune", None)
