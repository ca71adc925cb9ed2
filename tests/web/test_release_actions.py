"""What deploys, rollbacks, restarts, scaling and config changes leave behind."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection

from paas.errors import BadInput, Conflict, NotFound, StepFailed
from paas.specs import ProcessSpec
from tenants.apps.actions import create_app, destroy_app
from tenants.apps.models import App, ConfigVar
from tenants.audit.models import Event
from tenants.containers.actions import commit
from tenants.releases import observations
from tenants.releases.actions import (
    cancel_build,
    restart,
    rollback,
    scale,
    set_config,
    start_build,
    upload_source,
)
from tenants.releases.models import Build, Release, Source
from tests.web.cast import GZIP, Cast, go_live, make_build, make_container, released, report


def config_of(app: App) -> dict[str, str]:
    return {var.key: var.value for var in ConfigVar.objects.filter(app=app)}


def generation(app: App) -> int:
    return App.objects.get(pk=app.pk).generation


def test_a_deploy_makes_a_numbered_release_of_image_config_and_formation(cast: Cast) -> None:
    app = create_app(actor=cast.owner, tenant=cast.tenant, name="api")
    assert set_config(actor=cast.owner, app=app, changes={"DEBUG": "0"}) is None
    assert scale(actor=cast.owner, app=app, formation={"web": 3}) is None
    release = released(app, cast.developer, report(env=(("DEBUG", "1"), ("MODE", "x"))))
    release.refresh_from_db()
    assert (release.version, release.cause, release.status) == (1, "deploy", "live")
    assert release.config == {"DEBUG": "0", "MODE": "x"}
    assert release.processes[0]["count"] == 3
    assert App.objects.get(pk=app.pk).serving_release_id == release.pk
    assert Event.objects.filter(app_id=app.pk, verb="release.deploy", actor=cast.developer).exists()


def test_each_change_is_a_release_one_version_and_one_generation_further(cast: Cast) -> None:
    before = generation(cast.app)
    set_config(actor=cast.owner, app=cast.app, changes={"A": "1"})
    restart(actor=cast.owner, app=cast.app)
    scale(actor=cast.owner, app=cast.app, formation={"web": 2})
    rollback(actor=cast.owner, app=cast.app, version=1)
    rows = cast.app.releases.order_by("version").values_list("version", "cause", "note")
    assert list(rows)[1:] == [
        (2, "config", "Set A"),
        (3, "restart", "Restart"),
        (4, "scale", "Scale web=2"),
        (5, "rollback", "Roll back to v1"),
    ]
    assert generation(cast.app) == before + 4


def test_what_changes_nothing_makes_no_release(cast: Cast) -> None:
    set_config(actor=cast.owner, app=cast.app, changes={"A": "1"})
    before = generation(cast.app)
    assert set_config(actor=cast.owner, app=cast.app, changes={"A": "1", "GONE": None}) is None
    assert scale(actor=cast.owner, app=cast.app, formation={"web": 1}) is None
    assert generation(cast.app) == before


def test_rollback_brings_back_code_and_config_and_keeps_the_scale(cast: Cast) -> None:
    set_config(actor=cast.owner, app=cast.app, changes={"A": "old", "B": "1"})
    second = cast.app.releases.first()
    assert second is not None
    set_config(actor=cast.owner, app=cast.app, changes={"A": "new", "B": None, "C": "1"})
    scale(actor=cast.owner, app=cast.app, formation={"web": 4})
    release = rollback(actor=cast.owner, app=cast.app, version=second.version)
    go_live(release)
    assert release.config == {"A": "old", "B": "1"} == config_of(cast.app)
    assert release.image == second.image
    assert release.processes[0]["count"] == 4


def test_a_rollback_that_fails_leaves_the_config_vars_of_what_serves(cast: Cast) -> None:
    set_config(actor=cast.owner, app=cast.app, changes={"A": "new"})
    go_live(Release.objects.get(app=cast.app, version=2))
    failed = rollback(actor=cast.owner, app=cast.app, version=1)
    assert observations.release_failed(failed, {"summary": "never listened"})
    assert config_of(cast.app) == {"A": "new"}
    changed = set_config(actor=cast.owner, app=cast.app, changes={"B": "1"})
    assert changed and changed.config == {"A": "new", "B": "1"} == released(cast.app, cast.owner).config


def test_what_changes_while_a_rollback_is_under_way_goes_on_from_it(cast: Cast) -> None:
    set_config(actor=cast.owner, app=cast.app, changes={"A": "old", "GONE": "1"})
    set_config(actor=cast.owner, app=cast.app, changes={"A": "new", "B": "1"})
    go_live(Release.objects.get(app=cast.app, version=3))
    rollback(actor=cast.owner, app=cast.app, version=2)
    restart(actor=cast.owner, app=cast.app)
    assert set_config(actor=cast.owner, app=cast.app, changes={"A": "new", "GONE": None})
    last = cast.app.releases.first()
    assert last and last.config == {"A": "new"}
    assert config_of(cast.app) == {"A": "new", "B": "1"}
    go_live(last)
    assert config_of(cast.app) == {"A": "new"}
    set_config(actor=cast.owner, app=cast.app, changes={"C": "1"})
    assert not Release.objects.get(app=cast.app, version=7).brings_config


def test_a_commit_under_way_goes_into_each_release_based_on_it(cast: Cast) -> None:
    container = make_container(cast.app)
    made = commit(actor=cast.owner, app=cast.app, container=container)
    set_config(actor=cast.owner, app=cast.app, changes={"A": "1"})
    scale(actor=cast.owner, app=cast.app, formation={"web": 2})
    last = restart(actor=cast.owner, app=cast.app)
    with pytest.raises(Conflict, match="v2 has no image yet: its commit is under way"):
        rollback(actor=cast.owner, app=cast.app, version=made.version)
    assert last.committed_from == container.pk
    image = replace(report().image, digest="sha256:" + "c" * 64)
    assert observations.release_committed(last, image)
    later = restart(actor=cast.owner, app=cast.app)
    assert (later.image["digest"], later.committed_from) == (image.digest, "")
    assert later.committed == "web.1 of v1" and not made.committed
    assert not released(cast.app, cast.owner).committed


def test_rollback_to_the_current_or_an_unknown_release_is_refused(cast: Cast) -> None:
    with pytest.raises(Conflict):
        rollback(actor=cast.owner, app=cast.app, version=1)
    with pytest.raises(NotFound):
        rollback(actor=cast.owner, app=cast.app, version=99)


def test_rollback_to_a_release_whose_image_is_gone_is_refused_at_once(cast: Cast) -> None:
    released(cast.app, cast.owner)
    cast.app.releases.filter(version=1).update(image_gone=True)
    with pytest.raises(Conflict, match="v1: its image is no longer kept") as caught:
        rollback(actor=cast.owner, app=cast.app, version=1)
    assert caught.value.hint.startswith("Deploy the code again; the last 10 images")
    assert cast.app.releases.count() == 2


def test_a_config_change_goes_on_from_what_serves_not_from_a_failed_deploy(cast: Cast) -> None:
    claimed = observations.claim_build(make_build(cast.app, cast.owner).pk, "c2")
    assert claimed
    failed = observations.build_succeeded(
        claimed, report(processes=[ProcessSpec(name="web", args=("broken",))])
    )
    assert failed and observations.release_failed(failed, {"summary": "never listened"})
    release = set_config(actor=cast.owner, app=cast.app, changes={"A": "1"})
    assert release and release.processes[0]["args"] == ["python", "app.py"]


def test_a_missing_config_var_can_be_set_after_a_first_failure(cast: Cast) -> None:
    app = create_app(actor=cast.owner, tenant=cast.tenant, name="api")
    claimed = observations.claim_build(make_build(app, cast.owner).pk, "c2")
    assert claimed
    first = observations.build_succeeded(claimed, report())
    assert first and observations.release_failed(first, {"summary": "KeyError"})
    second = set_config(actor=cast.owner, app=app, changes={"DATABASE_URL": "x"})
    assert second and second.config == {"DATABASE_URL": "x"} and second.image == first.image


def test_a_failure_quotes_whatever_the_app_wrote(cast: Cast) -> None:
    release = restart(actor=cast.owner, app=cast.app)
    error = StepFailed("web.1 said \0", hint="\udcff", details={"log": ["\0 and \ud800", "plain"], "status": 1})
    assert observations.release_failed(release, error.as_dict())
    assert Release.objects.get(pk=release.pk).error == {
        "summary": "web.1 said \u2400",
        "hint": "?",
        "details": {"log": ["\u2400 and ?", "plain"], "status": 1},
    }


def test_a_restart_during_a_deploy_restarts_what_is_being_deployed(cast: Cast) -> None:
    claimed = observations.claim_build(make_build(cast.app, cast.owner).pk, "c2")
    assert claimed
    coming = observations.build_succeeded(claimed, report(processes=[ProcessSpec(name="web", args=("new",))]))
    assert coming and restart(actor=cast.owner, app=cast.app).processes[0]["args"] == ["new"]


def test_nothing_can_be_restarted_before_the_first_deploy(cast: Cast) -> None:
    with pytest.raises(Conflict, match="nothing to restart"):
        restart(actor=cast.stranger, app=cast.others_app)


@pytest.mark.parametrize(
    ("formation", "field", "hint"),
    [
        ({"wbe": 1}, "wbe", "Did you mean web?"),
        ({"web": 51}, "web", "0 to 50"),
        ({"web": -1}, "web", "0 to 50"),
    ],
)
def test_a_wrong_formation_names_the_process(
    cast: Cast, formation: dict[str, int], field: str, hint: str
) -> None:
    with pytest.raises(BadInput) as caught:
        scale(actor=cast.owner, app=cast.app, formation=formation)
    assert caught.value.details["field"] == field and hint in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PORT", "1"),
        ("BERTH_APP", "1"),
        ("berth_app", "1"),
        ("1A", "1"),
        ("A B", "1"),
        ("A\n", "1"),
        ("", "1"),
        ("A" * 129, "1"),
        ("NUL", "a\0b"),
        ("CR", "a\r\nb"),
        ("SURROGATE", "\ud800"),
        ("BIG", "x" * 70_000),
    ],
)
def test_a_wrong_config_var_is_named_and_its_value_is_not_told(cast: Cast, key: str, value: str) -> None:
    with pytest.raises(BadInput) as caught:
        set_config(actor=cast.owner, app=cast.app, changes={"FINE": "1", key: value})
    assert caught.value.details["field"] == key
    assert len(value) < 2 or value not in str(caught.value)
    assert config_of(cast.app) == {}


def test_values_of_many_lines_are_kept_as_they_are(cast: Cast) -> None:
    key = "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"
    release = set_config(actor=cast.owner, app=cast.app, changes={"KEY": key})
    assert release and Release.objects.get(pk=release.pk).config["KEY"] == key


def test_secrets_are_encrypted_at_rest_and_in_no_event(cast: Cast) -> None:
    set_config(actor=cast.owner, app=cast.app, changes={"TOKEN": "sesame-open"})
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            assert "sesame-open" not in str(cursor.fetchall()), table


def test_wakes_the_worker_with_a_primary_key_once_committed(
    cast: Cast, platform: redis.Redis[bytes], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        build = make_build(cast.app, cast.owner)
        restart(actor=cast.owner, app=cast.app)
    queued = [platform.lpop(queue) for queue in ("build", "deploy")]
    messages = [json.loads(message) for message in queued if isinstance(message, bytes)]
    assert [m["headers"]["task"] for m in messages] == ["berth.build", "berth.reconcile"]
    assert [m["headers"]["argsrepr"] for m in messages] == [f"['{build.pk}']", f"['{cast.app.pk}']"]


def test_tells_open_pages_what_changed_and_nothing_more(
    cast: Cast, platform: redis.Redis[bytes], django_capture_on_commit_callbacks: Any
) -> None:
    listener = platform.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(f"live:tenant:{cast.tenant.pk}")
    listener.get_message(timeout=1)
    with django_capture_on_commit_callbacks(execute=True):
        set_config(actor=cast.owner, app=cast.app, changes={"A": "secret"})
    heard = []
    while message := listener.get_message(timeout=0.2):
        heard.append(json.loads(message["data"]))
    listener.close()
    assert heard == [{"app": cast.app.pk, "what": "config"}, {"app": cast.app.pk, "what": "release"}]


# --- sources and builds
def test_an_upload_is_kept_under_its_id_with_its_digest(cast: Cast) -> None:
    source = upload_source(
        actor=cast.owner, app=cast.app, kind="tar.gz", name="../../etc/x", chunks=[GZIP[:1], GZIP[1:]]
    )
    path = settings.PATHS.sources / source.pk
    assert path.read_bytes() == GZIP and path.stat().st_mode & 0o777 == 0o640
    assert source.digest.startswith("sha256:") and source.size == len(GZIP)


@pytest.mark.parametrize(
    ("kind", "content", "field"),
    [
        ("tar.gz", b"PK\x03\x04", "source"),
        ("zip", GZIP, "source"),
        ("zip", b"", "source"),
        ("rar", GZIP, "kind"),
    ],
)
def test_a_wrong_upload_leaves_no_file_and_no_row(cast: Cast, kind: str, content: bytes, field: str) -> None:
    before, rows = sorted(settings.PATHS.sources.iterdir()), Source.objects.count()
    with pytest.raises(BadInput) as caught:
        upload_source(actor=cast.owner, app=cast.app, kind=kind, name="x", chunks=[content])
    assert caught.value.details["field"] == field
    assert sorted(settings.PATHS.sources.iterdir()) == before and Source.objects.count() == rows


def test_nothing_is_kept_of_an_upload_to_an_app_that_is_being_destroyed(cast: Cast) -> None:
    destroy_app(actor=cast.owner, app=cast.app, confirm="shop")
    before = sorted(settings.PATHS.sources.iterdir())
    with pytest.raises(NotFound):
        upload_source(actor=cast.owner, app=cast.app, kind="tar.gz", name="x", chunks=[GZIP])
    assert sorted(settings.PATHS.sources.iterdir()) == before


def test_a_queued_build_is_cancelled_at_once_and_cannot_be_claimed(cast: Cast) -> None:
    build = make_build(cast.app, cast.owner)
    cancel_build(actor=cast.owner, build=build)
    assert build.status == Build.Status.CANCELLED
    assert observations.claim_build(build.pk, "c9") is None
    with pytest.raises(Conflict) as caught:
        cancel_build(actor=cast.owner, build=build)
    assert (caught.value.summary, caught.value.hint) == (
        "this build has ended already: it was cancelled",
        "Nothing came of it.",
    )


def test_a_build_that_has_ended_is_not_cancelled_and_what_came_of_it_is_told(cast: Cast) -> None:
    release = released(cast.app, cast.owner)
    failed = make_build(cast.app, cast.owner)
    Build.objects.filter(pk=failed.pk).update(status=Build.Status.FAILED)
    told = []
    for build in (release.build, failed):
        assert build is not None
        with pytest.raises(Conflict) as caught:
            cancel_build(actor=cast.owner, build=build)
        told.append((caught.value.summary.partition(": ")[2], caught.value.hint))
    assert told == [
        ("it succeeded", f"{release} came of it: roll back if you want the one before."),
        ("it failed", "Nothing came of it."),
    ]


def test_a_running_build_is_asked_to_end_and_then_ends_cancelled(cast: Cast) -> None:
    claimed = observations.claim_build(make_build(cast.app, cast.owner).pk, "c2")
    assert claimed
    cancel_build(actor=cast.owner, build=Build.objects.get(pk=claimed.pk))
    claimed.refresh_from_db()
    assert claimed.status == Build.Status.RUNNING and claimed.cancel_asked_at
    assert observations.build_cancelled(claimed)


# --- what the worker observes
def test_a_build_is_claimed_by_one_worker_only(cast: Cast) -> None:
    build = make_build(cast.app, cast.owner)
    assert observations.claim_build(build.pk, "c1") is not None
    assert observations.claim_build(build.pk, "c2") is None


def test_a_worker_that_lost_its_claim_changes_nothing(cast: Cast) -> None:
    lost = observations.claim_build(make_build(cast.app, cast.owner).pk, "c1")
    assert lost and observations.requeue(Build.objects.get(pk=lost.pk))
    again = observations.claim_build(lost.pk, "c2")
    assert again and again.attempts == 2
    assert not observations.build_failed(lost, {"summary": "late"})
    assert observations.build_succeeded(lost, report()) is None
    assert observations.build_succeeded(again, report()) is not None
    assert observations.build_succeeded(again, report()) is None


def test_of_two_deploys_the_later_wins_even_if_built_first(cast: Cast) -> None:
    first, second = make_build(cast.app, cast.owner), make_build(cast.app, cast.owner)
    slow, fast = observations.claim_build(first.pk, "c1"), observations.claim_build(second.pk, "c2")
    assert slow and fast
    later = observations.build_succeeded(fast, report())
    assert later is not None
    assert observations.build_succeeded(slow, report()) is None
    assert Build.objects.get(pk=slow.pk).status == Build.Status.SUCCEEDED
    assert cast.app.releases.first() == later


def test_going_live_retires_the_one_before(cast: Cast) -> None:
    release = restart(actor=cast.owner, app=cast.app)
    go_live(release)
    assert list(cast.app.releases.values_list("version", "status")) == [(2, "live"), (1, "retired")]
    assert not observations.release_failed(release, {"summary": "late"})


def test_later_releases_supersede_those_under_way(cast: Cast) -> None:
    second, third = restart(actor=cast.owner, app=cast.app), restart(actor=cast.owner, app=cast.app)
    assert observations.release_starting(cast.app, third)
    second.refresh_from_db()
    assert second.status == Release.Status.SUPERSEDED
    assert not observations.release_starting(cast.app, second) and not observations.release_live(second)


def test_an_older_release_cannot_go_live_over_a_newer_one(cast: Cast) -> None:
    second, third = restart(actor=cast.owner, app=cast.app), restart(actor=cast.owner, app=cast.app)
    go_live(third)
    assert not observations.release_live(second)
    assert App.objects.get(pk=cast.app.pk).serving_release_id == third.pk


def test_nothing_goes_live_for_an_app_that_is_being_destroyed(cast: Cast) -> None:
    release, claimed = restart(actor=cast.owner, app=cast.app), make_build(cast.app, cast.owner)
    destroy_app(actor=cast.owner, app=cast.app, confirm="shop")
    assert not observations.release_live(release)
    assert observations.claim_build(claimed.pk, "c1") is None
    with pytest.raises(NotFound):
        start_build(actor=cast.owner, app=cast.app, source=Source.objects.filter(app=cast.app)[0])
