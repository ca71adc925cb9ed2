"""A deploy of what an app was sent before: by its digest, without the bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from paas.errors import BadInput, Conflict
from paas.specs import BuildReport
from paas.worker import history
from tenants.apps.actions import create_app
from tenants.audit.models import Event
from tenants.containers.models import Container
from tenants.releases import observations, unchanged
from tenants.releases.actions import MOST_WAITING, deploy, scale, set_config, upload_source
from tenants.releases.kept import is_kept, kept_releases
from tenants.releases.models import Build, Release, Source
from tenants.releases.streams import follow
from tenants.sse import Events
from tests.web.cast import GZIP, GZIP_DIGEST, Cast, go_live, make_build, released, report

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "apps/demo/shop/deploys/source"


def asked(client: Client, digest: str = GZIP_DIGEST, address: str = ADDRESS) -> Any:
    return client.call("POST", address, {"digest": digest})  # type: ignore[attr-defined]


def test_it_is_built_from_what_is_here(cast: Cast) -> None:
    before = make_build(cast.app, cast.owner, "my-folder")
    answer = asked(cast.client(cast.developer))
    assert answer.status_code == 202, answer.content
    build = Build.objects.get(pk=answer.json()["id"])
    assert (build.source, build.status, build.created_by) == (before.source, "queued", cast.developer)
    assert answer.json()["source"] == "my-folder"
    event = Event.objects.filter(verb="build.start").latest("pk")
    assert event.detail == {"build": build.pk, "digest": GZIP_DIGEST}


NAME = "debian:12"
BASE = "sha256:" + "d" * 64


@pytest.fixture
def live(cast: Cast) -> Release:
    """Of a build that may answer the next one."""
    names = settings.PATHS.store_names
    names.mkdir(parents=True, exist_ok=True)
    (names / "debian%3A12").write_text(BASE)
    return answering(cast, report())


@pytest.fixture
def known(cast: Cast, live: Release) -> Release:
    """The same, and a later one is about to serve."""
    set_config(actor=cast.owner, app=cast.app, changes={"LATER": "1"})
    return live


def answering(cast: Cast, made: BuildReport) -> Release:
    build = observations.claim_build(make_build(cast.app, cast.owner).pk, "c1")
    assert build is not None
    key = unchanged.key_of(build.app, build.source)
    release = observations.build_succeeded(
        build, replace(made, bases=((NAME, BASE),), is_repeatable=True), key=key
    )
    assert release is not None
    go_live(release)
    return release


def test_nothing_is_built_where_rows_say_what_comes_of_it(cast: Cast, known: Release) -> None:
    scale(actor=cast.owner, app=cast.app, formation={"web": 2})
    set_config(actor=cast.owner, app=cast.app, changes={"COLOUR": "red"})
    client = cast.client(cast.developer)
    answer = asked(client).json()
    assert (answer["status"], answer["unchanged_since"]) == ("succeeded", known.version)
    release = cast.app.releases.get(version=answer["version"])
    assert (release.cause, release.status, release.created_by) == ("deploy", "pending", cast.developer)
    for column in ("image", "health", "release_command", "volumes", "defaults"):
        assert getattr(release, column) == getattr(known, column), column
    assert [process["count"] for process in release.processes] == [2]
    assert release.config["COLOUR"] == "red"
    build = Build.objects.get(pk=answer["id"])
    assert (build.started_at, build.finished_at, build.steps_cached) == (build.created_at, build.created_at, 4)
    assert build.recipe and known.build and build.recipe == known.build.recipe
    assert not Build.objects.filter(status="queued").exists()


def serve(release: Release) -> None:
    """It is live, with all of its containers."""
    go_live(release)
    start(release)


def start(release: Release) -> None:
    for process in release.processes:
        for index in range(process["count"]):
            Container.objects.create(
                tenant=release.app.tenant, app=release.app, release=release, kind="process", index=index + 1,
                process_type=process["name"], status="running", ready=True, memory_limit=1,
            )  # fmt: skip


def began_nothing(client: Client, version: int) -> bool:
    before = Build.objects.count(), Release.objects.count()
    answer = asked(client)
    if answer.status_code != 200:
        assert (answer.status_code, answer.json()["serving"]) == (202, None)
        return False
    assert (answer.json()["serving"], answer.json()["version"]) == (version, version)
    assert (Build.objects.count(), Release.objects.count()) == before
    return True


def test_nothing_is_begun_where_the_app_serves_just_that(cast: Cast, live: Release) -> None:
    client = cast.client(cast.developer)
    start(live)
    assert began_nothing(client, live.version)
    scale(actor=cast.owner, app=cast.app, formation={"web": 2})
    assert not began_nothing(client, 0), "it may fail, or be superseded"
    serve(cast.app.releases.first())  # type: ignore[arg-type]
    assert began_nothing(client, live.version + 2), "with the counts that were chosen, by an answer"
    set_config(actor=cast.owner, app=cast.app, changes={"COLOUR": "red"})
    serve(cast.app.releases.first())  # type: ignore[arg-type]
    assert began_nothing(client, live.version + 3)
    Build.objects.filter(app=cast.app).update(finished_at=timezone.now() - unchanged.FRESH)
    assert not began_nothing(client, 0), "steps in the cache are to be used now and then"


@pytest.mark.parametrize("change", [{"commit": "web.1 of v3"}, {"image_gone": True}, {"status": "failed"}])
def test_what_serves_something_else_is_released_anew(
    cast: Cast, live: Release, change: dict[str, object]
) -> None:
    start(live)
    Release.objects.filter(pk=live.pk).update(**change)
    assert not began_nothing(cast.client(cast.developer), 0)


@pytest.mark.parametrize(
    ("change", "serves"),
    [
        ({"status": "sleeping"}, True),
        ({"status": "stopped", "exit_code": 1}, False),
        ({"ready": False}, False),
    ],
)
def test_what_has_crashed_is_released_anew(
    cast: Cast, live: Release, change: dict[str, object], serves: bool
) -> None:
    start(live)
    Container.objects.filter(release=live).update(**change)
    assert began_nothing(cast.client(cast.developer), live.version if serves else 0) == serves


def test_of_two_deploys_the_later_wins_though_it_serves_already(cast: Cast, live: Release) -> None:
    start(live)
    deploy(actor=cast.owner, app=cast.app, kind="tar.gz", name="my-folder", chunks=[GZIP + b"2"])
    assert not began_nothing(cast.client(cast.developer), 0)


def test_to_see_that_takes_few_queries(cast: Cast, live: Release, django_assert_num_queries: Any) -> None:
    """The token, the app and the role in its tenant, the newest release, its containers, builds under way."""
    client, address = cast.client(cast.developer), "/api/v1/apps/demo/shop/deploys?name=any-name"
    start(live)
    client.call("GET", "me")
    with django_assert_num_queries(5):
        answer = client.post(address, GZIP, content_type="application/gzip")
    assert answer.json()["serving"] == live.version


def test_who_sends_in_the_browser_what_serves_is_told_so(cast: Cast, live: Release) -> None:
    start(live)
    sent = SimpleUploadedFile(live.build.source.name, GZIP)  # type: ignore[union-attr]
    browser = Client()
    browser.force_login(cast.developer, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = browser.post("/t/demo/shop/deploy/", {"source": sent}, follow=True)
    assert page.redirect_chain[-1][0] == f"/t/demo/shop/builds/{live.build_id}/"
    assert f"Nothing changed: v{live.version} serves just this already." in page.content.decode()


def test_what_is_sent_again_is_known_and_kept_once(cast: Cast, known: Release) -> None:
    """By whatever client; under another name it is another source, with a build of its own."""
    before = known.build.source  # type: ignore[union-attr]
    here = sorted(settings.PATHS.sources.iterdir())

    def sent(name: str, content: bytes = GZIP) -> Build:
        made = deploy(actor=cast.owner, app=cast.app, kind="tar.gz", name=name, chunks=[content])
        return Build.objects.get(pk=made.build.pk)

    again = sent(before.name)
    assert (again.source, again.status, again.unchanged_since) == (before, "succeeded", known.version)
    assert sorted(settings.PATHS.sources.iterdir()) == here
    other, changed = sent("another"), sent(before.name, GZIP + b"2")
    for build in (other, changed):
        assert build.status == "queued" and build.source != before
    assert len(list(settings.PATHS.sources.iterdir())) == len(here) + 2
    with pytest.raises(BadInput):
        sent(before.name, b"no archive")
    assert len(list(settings.PATHS.sources.iterdir())) == len(here) + 2


def test_its_log_is_what_its_row_says(cast: Cast, known: Release) -> None:
    """No worker has written one."""
    api, browser = cast.client(cast.viewer), Client()
    browser.force_login(cast.viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    build = asked(cast.client(cast.owner)).json()["id"]
    log = api.call("GET", f"apps/demo/shop/builds/{build}/log")
    said = log.content.decode()
    assert said.startswith(f"Nothing changed since v{known.version}, ") and log.headers["X-Berth-Done"] == "1"
    rest = api.call("GET", f"apps/demo/shop/builds/{build}/log?offset={log.headers['X-Berth-Next-Offset']}")
    assert rest.content == b"" and rest.headers["X-Berth-Done"] == "1"
    page = f"/t/demo/shop/builds/{build}/"
    assert f"nothing changed since v{known.version}" in browser.get(page).content.decode()
    assert b"".join(browser.get(f"{page}log.txt").streaming_content).decode() == said  # type: ignore[attr-defined]
    lines, end = async_to_sync(pieces)(follow(Build.objects.get(pk=build), 0))
    assert json.dumps([said.rstrip()]).encode() in lines and b"event: end" in end


async def pieces(events: Events) -> list[bytes]:
    return [piece async for piece in events]


def test_an_answer_answers_none_but_what_it_repeats_does(cast: Cast, known: Release) -> None:
    client = cast.client(cast.owner)
    first, second = asked(client).json(), asked(client).json()
    assert second["version"] == first["version"] + 1
    assert first["unchanged_since"] == second["unchanged_since"] == known.version
    Build.objects.filter(pk=known.build_id).update(key="")
    assert asked(client).json()["status"] == "queued"


@pytest.mark.parametrize("meaning", [None, "sha256:" + "e" * 64, ""])
def test_a_base_that_means_something_else_today_is_a_workers_to_see(
    cast: Cast, known: Release, meaning: str | None
) -> None:
    path = settings.PATHS.store_names / "debian%3A12"
    path.unlink() if meaning is None else path.write_text(meaning)
    assert asked(cast.client(cast.owner)).json()["status"] == "queued"


def test_an_image_that_a_prune_may_take_is_a_workers_to_see(cast: Cast, known: Release, settings: Any) -> None:
    settings.KEPT_IMAGES = 2
    for number in range(3):
        image = replace(report().image, digest=f"sha256:{number:064}")
        release = released(cast.app, cast.owner, replace(report(), image=image))
        kept = known.pk in {row.pk for row in kept_releases(cast.app)}
        assert is_kept(known) == kept == (number == 0)
        answer = asked(cast.client(cast.owner)).json()
        assert answer["status"] == ("succeeded" if kept else "queued")
        cast.app.releases.filter(version__gt=release.version).delete()
        cast.app.refresh_from_db()


def test_a_release_that_never_was_live_is_no_proof_of_its_image(cast: Cast, known: Release) -> None:
    Release.objects.filter(pk=known.pk).update(live_at=None)
    assert asked(cast.client(cast.owner)).json()["status"] == "queued"


def test_what_is_here_of_others_is_told_to_nobody(cast: Cast) -> None:
    """Of another tenant, and of another app of one's own: the answer is that for what nobody has."""
    mine = create_app(actor=cast.owner, tenant=cast.tenant, name="second")
    theirs = b"\x1f\x8b\x08\x00 a secret"
    digests = [
        upload_source(actor=actor, app=app, kind="tar.gz", name="x", chunks=[theirs + app.name.encode()]).digest
        for actor, app in ((cast.stranger, cast.others_app), (cast.owner, mine))
    ]
    client = cast.client(cast.owner)
    answers = [asked(client, digest) for digest in (*digests, "sha256:" + "0" * 64)]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    blog = ADDRESS.replace("demo/shop", "other/blog")
    assert asked(cast.client(cast.stranger), GZIP_DIGEST, blog).status_code == 404
    assert asked(client, digests[1], ADDRESS.replace("shop", "second")).status_code == 202


@pytest.mark.parametrize("digest", ["", "sha256:", GZIP_DIGEST.upper(), GZIP_DIGEST + "\n", f"{GZIP_DIGEST}0"])
def test_what_is_no_digest_is_refused(cast: Cast, digest: str) -> None:
    Source.objects.create(app=cast.app, kind="image", name="registry.example/shop:v1", digest="", size=0)
    answer = asked(cast.client(cast.owner), digest)
    assert answer.status_code == 400 and answer.json()["error"]["details"]["field"] == "digest"


def test_what_is_not_kept_any_more_has_to_be_sent(cast: Cast) -> None:
    source = make_build(cast.app, cast.owner).source
    for kept in Source.objects.filter(digest=source.digest):
        (settings.PATHS.sources / kept.pk).unlink(missing_ok=True)
    count = Build.objects.count()
    answer = asked(cast.client(cast.owner))
    assert answer.status_code == 404 and answer.json()["error"]["hint"] == "Send the archive itself."
    assert Build.objects.count() == count


def test_builds_do_not_queue_up_without_end(cast: Cast) -> None:
    make_build(cast.app, cast.owner)
    client = cast.client(cast.owner)
    statuses = [asked(client).status_code for _ in range(MOST_WAITING)]
    assert statuses == [202] * (MOST_WAITING - 1) + [409]
    here = sorted(settings.PATHS.sources.iterdir())
    with pytest.raises(Conflict):
        deploy(actor=cast.owner, app=cast.app, kind="tar.gz", name="x", chunks=[GZIP + b"2"])
    assert sorted(settings.PATHS.sources.iterdir()) == here


def test_a_source_of_several_builds_is_kept_for_the_newest(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes with the last of them."""
    monkeypatch.setattr(history, "SOURCES", 1)
    shared = make_build(cast.app, cast.owner).source
    path = settings.PATHS.sources / shared.pk
    for _ in range(3):
        assert asked(cast.client(cast.owner)).status_code == 202
    Build.objects.filter(app=cast.app).update(status=Build.Status.FAILED)
    history.forget_builds(cast.app)
    assert path.exists()
    upload = upload_source(actor=cast.owner, app=cast.app, kind="tar.gz", name="x", chunks=[GZIP + b"2"])
    Build.objects.create(app=cast.app, source=upload, status=Build.Status.FAILED)
    history.forget_builds(cast.app)
    assert not path.exists() and (settings.PATHS.sources / upload.pk).exists()
