"""The image store on the machine's page: what a prune would free is said before it can be asked for."""

from __future__ import annotations

from tenants.store import observations
from tenants.store.models import Size, Upkeep, Use
from tests.web.cast import Cast
from tests.web.pages import Browser, markup

FREED = {"bytes": 3 << 20, "layers": 2, "layer_bytes": 2 << 20, "blobs": 4, "blob_bytes": 1 << 20, "steps": 5,
         "abandoned": 0, "abandoned_bytes": 0}  # fmt: skip


def page(cast: Cast, path: str = "/machine/") -> str:
    return str(Browser(cast.admin).get(path).content.decode())


def test_before_the_first_look_there_is_nothing_to_confirm(cast: Cast) -> None:
    assert "The worker has not looked at the store yet." in page(cast)
    assert "prune-store" not in page(cast)


def test_a_look_then_a_prune(cast: Cast) -> None:
    Size.objects.create(layers=3, layer_bytes=5 << 20, blobs=2, blob_bytes=1 << 20, unshared_bytes=50 << 20)
    Use.objects.create(kind="tenant", owner_id=cast.tenant.pk, bytes=4 << 20, unique_bytes=2 << 20)
    Browser(cast.admin).post("/machine/store/look/")
    look = Upkeep.objects.get()
    assert "Look what a prune would free: queued." in page(cast)
    observations.done(look, FREED)
    shown = page(cast)
    assert "A prune would free 3 MiB" in shown and 'id="prune-store"' in shown and "2 MiB in 2" in shown
    assert "/machine/tenants/demo/" in shown
    assert shown.count("What was made within the last two hours is spared") == 2
    assert "btn btn-danger" in shown
    Browser(cast.admin).post("/machine/store/prune/")
    prune = Upkeep.objects.get(kind="prune")
    assert prune.created_by == cast.admin
    observations.done(prune, FREED)
    assert "The last prune freed 3 MiB" in page(cast) and "prune-store" not in page(cast)


def test_a_prune_that_would_free_nothing_is_no_danger(cast: Cast) -> None:
    observations.done(Upkeep.objects.create(kind="look"), {**FREED, "bytes": 0})
    shown = page(cast, "/machine/store/")
    assert 'id="prune-store"' in shown and "btn-danger" not in shown


def test_the_page_of_its_own_has_its_title_once(cast: Cast) -> None:
    browser = Browser(cast.admin)
    assert "<h2>Image store</h2>" in page(cast) and "<h2>Image store</h2>" in markup(
        browser.part("/machine/store/")
    )
    for shown in (page(cast, "/machine/store/"), markup(browser.part("/machine/store/?alone"))):
        assert "<h2>Contents</h2>" in shown and "<h2>Image store</h2>" not in shown
        assert 'hx-get="/machine/store/?alone"' in shown


def test_an_apps_page_says_what_it_and_its_releases_take(cast: Cast) -> None:
    Use.objects.create(kind="app", owner_id=cast.app.pk, bytes=9 << 20, unique_bytes=2 << 20)
    release = cast.app.releases.get()
    Use.objects.create(kind="release", owner_id=release.pk, bytes=5 << 20, unique_bytes=1 << 20)
    for path in ("/t/demo/shop/", "/t/demo/shop/parts/about/"):
        shown = str(Browser(cast.viewer).get(path).content.decode())
        assert "9 MiB with those kept" in shown and "v1: 5 MiB, 1 MiB of it in no other release" in shown


def test_damage_is_shown_with_its_releases_as_text(cast: Cast) -> None:
    damage = {
        "kind": "layer",
        "id": "sha256:" + "a" * 64,
        "what": "<b>rot</b>",
        "outcome": "",
        "releases": ["demo/shop v1"],
    }
    row = Upkeep.objects.create(kind="check")
    observations.done(row, {"damage": [damage], "mended": 0, "lost": 0})
    shown = page(cast, "/machine/store/")
    assert "&lt;b&gt;rot&lt;/b&gt;" in shown and "demo/shop v1" in shown and "/machine/store/mend/" in shown
    row = Upkeep.objects.create(kind="mend")
    observations.done(
        row, {"damage": [{**damage, "outcome": "removed"}], "mended": 0, "lost": 1, "building": ["demo/x v2"]}
    )
    shown = " ".join(page(cast, "/machine/store/").split())
    assert "1 damaged: 0 mended, 1 lost" in shown and "again from their sources: demo/x v2." in shown
    assert "&lt;b&gt;rot&lt;/b&gt;; lost. Concerns demo/shop v1" in shown and "/store/mend/" not in shown


def test_a_failure_says_why(cast: Cast) -> None:
    observations.failed(Upkeep.objects.create(kind="look"), {"summary": "no room", "hint": "make some"})
    assert "No room." in page(cast) and "prune-store" not in page(cast)


def test_what_cannot_be_asked_and_what_is_under_way(cast: Cast) -> None:
    browser = Browser(cast.admin)
    assert browser.post("/machine/store/burn/").status_code == 400
    browser.post("/machine/store/check/")
    assert browser.post("/machine/store/check/").status_code == 302
    assert Upkeep.objects.count() == 1


def test_an_apps_page_says_what_its_images_take(cast: Cast) -> None:
    Use.objects.create(kind="app", owner_id=cast.app.pk, bytes=4 << 20, unique_bytes=2 << 20)
    shown = markup(Browser(cast.viewer).get("/t/demo/shop/"))
    assert "4 MiB with those kept for going back, 2 MiB of it this app" in shown
