"""Registries, deploying an image and pushing one, in the dashboard."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from paas.live import channel
from tenants.audit.models import Event
from tenants.registries import actions, observations
from tenants.registries.models import Export, Login, Push
from tenants.releases.actions import restart
from tenants.releases.models import Build
from tests.web.cast import Cast, released
from tests.web.pages import Browser, markup

IMAGE = "registry.example:5000/team/shop:v1"
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "9" * 64  # that of the cast's image, and another
LOGIN = {"host": "registry.example:5000", "username": "sailor", "password": "very-secret"}
REGISTRIES, PUSHES, DEPLOY = "/tenants/demo/registries/", "/t/demo/shop/pushes/", "/t/demo/shop/deploy/image/"


def test_a_registry_comes_changes_and_goes_and_its_password_is_on_no_page(cast: Cast) -> None:
    browser = Browser(cast.developer)
    assert "No sign-ins yet" in markup(browser.get(REGISTRIES))
    for password in ("first", "very-secret"):
        assert browser.post(REGISTRIES, {**LOGIN, "password": password}).status_code == 302
    assert Login.objects.get().password == "very-secret"
    shown = markup(browser.get(REGISTRIES))
    assert "registry.example:5000" in shown and "as sailor" in shown and "1 registry" in shown
    again = browser.post(REGISTRIES, {**LOGIN, "username": "a:b"})
    assert again.status_code == 422 and "has no colon" in markup(again)
    for page in (shown, markup(again), markup(browser.get(DEPLOY)), markup(browser.get(PUSHES))):
        assert "very-secret" not in page
    assert "Signed in to registry.example:5000" in markup(browser.get(DEPLOY))
    for said in ("is removed", "was not signed in"):
        gone = browser.post(f"{REGISTRIES}registry.example:5000/remove/", follow=True)
        assert said in markup(gone)
    assert not Login.objects.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"host": "registry.example/x"}, "is not a registry&#x27;s host"),
        ({"host": "redis"}, "is not a registry&#x27;s host"),
        ({"password": ""}, "This field is required"),
    ],
)
def test_a_wrong_sign_in_is_told_at_its_field(cast: Cast, change: dict[str, str], said: str) -> None:
    answer = Browser(cast.developer).post(REGISTRIES, {**LOGIN, **change})
    (field,) = change
    error = markup(answer).partition(f'<span class="field-error" id="id_{field}_error">')[2]
    assert answer.status_code == 422 and said in error.partition("</span>")[0]


def test_another_tenants_registry_is_not_removed(cast: Cast) -> None:
    Login.objects.create(tenant=cast.other, host="registry.example", username="x", password="x")
    Browser(cast.owner).post(f"{REGISTRIES}registry.example/remove/")
    assert Login.objects.filter(tenant=cast.other).exists()


def test_only_those_who_deploy_are_led_to_registries(cast: Cast) -> None:
    assert REGISTRIES in markup(Browser(cast.developer).get("/tenants/demo/"))
    assert REGISTRIES not in markup(Browser(cast.viewer).get("/tenants/demo/"))


@pytest.mark.parametrize("image", [IMAGE, f"registry.example/shop@{DIGEST}"])
def test_an_image_is_deployed_by_tag_or_digest(cast: Cast, image: str) -> None:
    assert f'action="{DEPLOY}"' in markup(Browser(cast.developer).get("/t/demo/shop/"))
    answer = Browser(cast.developer).post(DEPLOY, {"image": f" {image} "}, follow=True)
    build = Build.objects.latest("created_at")
    assert (build.source.kind, build.source.name) == ("image", image)
    assert f"Pull of {image}" in markup(answer) and "0 B" not in markup(answer)
    assert "0 B" not in markup(Browser(cast.viewer).get("/t/demo/shop/builds/"))


def test_a_wrong_name_is_told_beside_it(cast: Cast, settings: Any) -> None:
    browser = Browser(cast.developer)
    answer = browser.post(DEPLOY, {"image": "redis:7"})
    assert answer.status_code == 422 and "docker.io/library/redis:7" in markup(answer)
    assert 'value="redis:7"' in markup(answer)
    settings.REGISTRIES = ["docker.io"]
    refused = browser.post(DEPLOY, {"image": IMAGE})
    assert refused.status_code == 422 and "not allowed on this machine" in markup(refused)
    long = browser.post(DEPLOY, {"image": f"docker.io/{'a' * 200}:1"})
    assert long.status_code == 422 and "200 are taken" in markup(long)


def test_a_push_and_what_becomes_of_it(
    cast: Cast, platform: Any, django_capture_on_commit_callbacks: Any
) -> None:
    heard = platform.pubsub(ignore_subscribe_messages=True)
    heard.subscribe(channel(cast.tenant.pk))
    browser = Browser(cast.developer)
    assert "No pushes yet" in markup(browser.get(PUSHES))
    with django_capture_on_commit_callbacks(execute=True):
        browser.post(PUSHES, {"version": "1", "image": IMAGE})
        push = Push.objects.get()
        waits = markup(browser.part(PUSHES))
        assert observations.claim(push.pk)
        runs = markup(browser.part(PUSHES))
        observations.done(push, DIGEST)
    assert "Waits for a worker." in waits and "<html" not in waits
    assert "Running" in runs and "not sent again" in runs
    done = markup(Browser(cast.viewer).part(PUSHES))
    assert f'data-copy="{DIGEST}"' in done and IMAGE in done
    said = [message for _ in range(20) if (message := heard.get_message(timeout=0.05))]
    assert sum(b'"push"' in message["data"] for message in said) == 3


def test_a_failed_push_says_why_and_can_be_done_again(cast: Cast) -> None:
    push = Push.objects.create(app=cast.app, release=cast.app.releases.get(), reference=IMAGE)
    observations.failed(push, {"summary": "<b>denied</b>", "hint": "sign in", "details": {}})
    shown = markup(Browser(cast.developer).get(PUSHES))
    assert "&lt;b&gt;denied&lt;/b&gt;." in shown and "Sign in." in shown and "Push again" in shown
    viewed = markup(Browser(cast.viewer).get(PUSHES))
    assert "Sign in." in viewed and "Push again" not in viewed and 'name="image"' not in viewed
    assert "Push again" not in markup(Browser(cast.admin).get(PUSHES))


def test_a_long_reason_is_folded_and_its_digests_are_short(cast: Cast) -> None:
    exact = f"registry.example/shop@{DIGEST}"
    push = Push.objects.create(app=cast.app, release=cast.app.releases.get(), reference=exact)
    why = f"pushing {exact} failed: writing blob {OTHER}: unauthorized: authentication required"
    observations.failed(push, {"summary": why, "hint": "sign in", "details": {}})
    shown = markup(Browser(cast.viewer).get(PUSHES))
    first = shown.partition('tone-bad">')[2].partition("</summary>")[0]
    assert f"Pushing registry.example/shop@{DIGEST[:19]}… failed: writing blob {OTHER[:19]}…" in first
    assert DIGEST not in first and OTHER not in first
    folded = shown.partition('tone-bad">')[2].partition("</summary>")[2].partition("</details>")[0]
    assert why[1:] in folded and "Sign in." in folded


def test_what_cannot_be_pushed_is_told(cast: Cast) -> None:
    browser = Browser(cast.developer)
    for body, said in (
        ({"version": "9", "image": IMAGE}, "Select a valid choice"),
        ({"version": "1", "image": f"registry.example/shop@{OTHER}"}, f"v1 has another digest, {DIGEST}"),
    ):
        answer = browser.post(PUSHES, body)
        assert answer.status_code == 422 and said.lower() in markup(answer).lower()
    assert not Push.objects.exists()
    exact = f"registry.example/shop@{DIGEST}"
    assert browser.post(PUSHES, {"version": "1", "image": exact}).status_code == 302
    assert Push.objects.get().reference == exact
    empty = markup(Browser(cast.stranger).get("/t/other/blog/pushes/"))
    assert "There is no release to push yet." in empty and 'name="image"' not in empty


def test_the_release_that_was_asked_for_is_chosen_and_else_what_serves(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenants.registries.forms.MOST_RELEASES", 1)
    released(cast.app, cast.developer)
    browser = Browser(cast.developer)
    for query, version in (("", 2), ("?version=1", 1), ("?version=99", 2), ("?version=²", 2)):
        assert f'<option value="{version}" selected>' in markup(browser.get(PUSHES + query)), query
    assert browser.post(PUSHES, {"version": "1", "image": IMAGE}).status_code == 302


def test_many_rows_are_paged_and_cost_no_query_each(cast: Cast, django_assert_max_num_queries: Any) -> None:
    release = cast.app.releases.get()
    Push.objects.bulk_create(Push(app=cast.app, release=release, reference=IMAGE) for _ in range(60))
    Login.objects.bulk_create(
        Login(tenant=cast.tenant, host=f"r{n}.example", username="x", password="x") for n in range(60)
    )
    for _ in range(3):
        released(cast.app, cast.developer)
    browser = Browser(cast.developer)
    for path, row in ((PUSHES, '<li id="push-'), (REGISTRIES, 'data-opens="remove-')):
        with django_assert_max_num_queries(20):
            page = markup(browser.get(path))
        assert page.count(row) == 25 and "of 60" in page


def test_an_export_is_one_file_an_hour_and_few_of_a_tenant(cast: Cast) -> None:
    browser, path = Browser(cast.developer), "/t/demo/shop/exports/"
    for _ in range(2):
        assert browser.post(path, {"version": "1"}).status_code == 302
    first = Export.objects.get()
    assert "Waits for a worker." in markup(browser.part(PUSHES))
    assert observations.claim_export(first.pk)
    assert observations.claim_export(first.pk) is None
    observations.exported(first, 5 << 20)
    shown = markup(browser.part(PUSHES))
    assert "5 MiB" in shown and f"/streams/t/demo/shop/exports/{first.pk}/image.tar" in shown
    assert "image.tar" not in markup(Browser(cast.viewer).get(PUSHES))
    assert "image.tar" not in markup(Browser(cast.admin).get(PUSHES))
    released(cast.app, cast.developer)
    browser.post(path, {"version": "2"})
    observations.exported(Export.objects.get(release__version=2), 1)
    restart(actor=cast.developer, app=cast.app)
    browser.post(path, {"version": "3"})
    assert sorted(Export.objects.values_list("release__version", flat=True)) == [2, 3]
    for version in ("9", "x", "²", "9" * 30, ""):
        assert browser.post(path, {"version": version}).status_code == 404
    Export.objects.update(status="running")
    refused = browser.post(path, {"version": "1"}, follow=True)
    assert "2 exports are under way already." in markup(refused)
    Export.objects.update(finished_at=timezone.now() - timedelta(minutes=61))
    observations.forget_exports()
    assert not Export.objects.exists()


@pytest.mark.parametrize(("kind", "name"), [(Push, "push"), (Export, "export")])
def test_what_is_under_way_is_cancelled(cast: Cast, kind: type[Push] | type[Export], name: str) -> None:
    release, browser = cast.app.releases.get(), Browser(cast.developer)
    waits, runs = (kind.objects.create(app=cast.app, release=release) for _ in range(2))
    claimed = (observations.claim if kind is Push else observations.claim_export)(runs.pk)
    assert claimed is not None
    paths = [f"/t/demo/shop/{name}{'es' if kind is Push else 's'}/{row.pk}/cancel/" for row in (waits, runs)]
    assert all(f'action="{path}"' in markup(browser.get(PUSHES)) for path in paths)
    assert "/cancel/" not in markup(Browser(cast.viewer).get(PUSHES))
    for path in paths:
        assert f"The {name} is being cancelled." in markup(browser.post(path, follow=True))
    waits.refresh_from_db()
    runs.refresh_from_db()
    assert (waits.status, runs.status) == ("cancelled", "running") and waits.finished_at
    assert "Cancelling…" in markup(browser.get(PUSHES))
    assert not observations.claim(waits.pk) and not observations.claim_export(waits.pk)
    event = Event.objects.filter(verb=f"{name}.cancel").latest("at")
    assert (event.actor, event.app_id, event.detail) == (cast.developer, cast.app.pk, {name: runs.pk})
    assert not observations.interrupted(claimed), "its worker died, and nobody wants it any more"
    runs.refresh_from_db()
    assert runs.status == "cancelled"
    page = markup(browser.get(PUSHES))
    assert "/cancel/" not in page and "Cancelled" in page and (kind is Export or "Push again" in page)
    assert "has ended already: it was cancelled" in markup(browser.post(paths[1], follow=True))
    assert Event.objects.filter(verb=f"{name}.cancel").count() == 2


def test_an_export_that_is_being_cancelled_is_not_what_is_asked_for_next(cast: Cast) -> None:
    Browser(cast.developer).post("/t/demo/shop/exports/", {"version": "1"})
    first = Export.objects.get()
    assert observations.claim_export(first.pk)
    actions.cancel_export(actor=cast.developer, export=first)
    assert actions.export(actor=cast.owner, app=cast.app, release=first.release).pk != first.pk
