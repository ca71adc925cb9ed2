"""Sleep in rows: what people order and set, and what is seen."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone
from django.utils.html import strip_tags

from paas.errors import BadInput, Conflict
from paas.network.asleep import Asleep
from paas.specs import MIB, ProcessSpec
from paas.worker import sleep
from paas.worker.routes import upstream
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.audit.models import Event
from tenants.containers import actions, observations, ordered
from tenants.containers.models import Container
from tenants.fleet.models import Machine
from tests.web.cast import Cast, make_container, released, report
from tests.web.pages import Browser

GIB = 1024 * MIB
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def serving(cast: Cast) -> App:
    cast.app.serving_release_id = cast.app.releases.latest("version").pk
    cast.app.save()
    return cast.app


def test_an_order_stands_until_a_worker_has_obeyed(cast: Cast) -> None:
    actions.order(actor=cast.developer, app=serving(cast), what=App.Order.SLEEP)
    cast.app.refresh_from_db()
    assert cast.app.sleep_order == "sleep"
    assert Event.objects.filter(verb="app.sleep", app_id=cast.app.pk).exists()


@pytest.mark.parametrize("by", ["a visitor", "another container"])
def test_an_order_freezes_no_request_that_is_under_way(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """It may compute for longer than it is quiet, and would be answered only after the next packet."""
    row = make_container(cast.app)
    Container.objects.filter(pk=row.pk).update(ready=True, address=20, process_type="web")
    row = Container.objects.select_related("release").get(pk=row.pk)
    App.objects.filter(pk=cast.app.pk).update(serving_release_id=row.release_id, sleep_order="sleep")
    slept: list[str] = []
    outcomes = iter((False, True))  # the first time it was used just before

    def put_to_sleep(row: Container, quiet: float) -> bool:
        slept.append(row.pk)
        return next(outcomes)

    monkeypatch.setattr(sleep, "put_to_sleep", put_to_sleep)
    visited, asked = ({upstream(row)}, set()) if by == "a visitor" else (set(), {sleep._address(row)})
    monkeypatch.setattr(sleep, "answering", lambda: visited)
    monkeypatch.setattr(Asleep, "awaited", lambda _: asked)
    monkeypatch.setattr(sleep, "ORDER_SECONDS", 0.1)
    sleep.obey(cast.app.pk)
    assert slept == []
    monkeypatch.undo()
    monkeypatch.setattr(sleep, "put_to_sleep", put_to_sleep)
    App.objects.filter(pk=cast.app.pk).update(sleep_order="sleep")
    monkeypatch.setattr(sleep, "answering", set)
    monkeypatch.setattr(Asleep, "awaited", lambda _: set())
    sleep.obey(cast.app.pk)
    assert slept == [row.pk, row.pk]


def test_what_came_of_an_order_is_told_while_it_is_obeyed_and_a_minute_after(cast: Cast) -> None:
    row = make_container(cast.app)
    Container.objects.filter(pk=row.pk).update(process_type="web", status="running")
    app, viewer = serving(cast), cast.client(cast.viewer)

    def told() -> str:
        page = strip_tags(Browser(cast.viewer).part("/t/demo/shop/parts/usage/").content.decode())
        return " ".join(page.split())

    assert "asleep as soon" not in told() and "stays awake" not in told()
    actions.order(actor=cast.developer, app=app, what=App.Order.SLEEP)
    assert "web.1 falls asleep as soon as nothing was sent to or by it for two seconds" in told()
    assert viewer.call("GET", "apps/demo/shop/sleep").json()["order"] == "sleep"
    App.objects.filter(pk=app.pk).update(sleep_order="")  # a worker has obeyed
    assert "web.1 stays awake: in use when it was to fall asleep" in told()
    found = viewer.call("GET", "apps/demo/shop/sleep").json()
    assert (found["order"], found["asleep"], found["awake"]) == ("", [], ["web.1"])
    App.objects.filter(pk=app.pk).update(sleep_ordered_at=timezone.now() - ordered.TOLD)
    assert "stays awake" not in told(), "by now it is something else that keeps it awake"
    actions.order(actor=cast.developer, app=app, what=App.Order.SLEEP)
    actions.order(actor=cast.developer, app=app, what=App.Order.WAKE)
    assert "asleep as soon" not in told() and "stays awake" not in told()
    observations.fell_asleep(row, since=NOON, used=5, left=2)
    assert viewer.call("GET", "apps/demo/shop/sleep").json()["asleep"] == ["web.1"]


def test_what_does_not_run_cannot_sleep(cast: Cast) -> None:
    App.objects.filter(pk=cast.app.pk).update(serving_release_id="")
    cast.app.refresh_from_db()
    with pytest.raises(Conflict, match="does not run"):
        actions.order(actor=cast.developer, app=cast.app, what=App.Order.WAKE)


@pytest.mark.parametrize("seconds", [None, 0, 10, 86_400])
def test_an_app_has_its_own_idle_time(cast: Cast, seconds: int | None) -> None:
    actions.sleep_after(actor=cast.developer, app=cast.app, seconds=seconds)
    cast.app.refresh_from_db()
    assert cast.app.sleep_after == seconds


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("15m", 900), ("2h", 7200), ("900", 900), ("never", 0), ("default", None), (0, 0)],
)
def test_it_is_written_as_in_berth_toml(cast: Cast, written: str | int, seconds: int | None) -> None:
    App.objects.filter(pk=cast.app.pk).update(sleep_after=77)
    answer = cast.client(cast.developer).call("PUT", "apps/demo/shop/sleep", {"after": written})
    assert (answer.status_code, answer.json()["after"]) == (200, seconds)
    cast.app.refresh_from_db()
    assert cast.app.sleep_after == seconds


@pytest.mark.parametrize("written", ["soon", "9s", "31d", "-1", "", -1])
def test_what_is_no_idle_time_is_refused_with_how_to_write_one(cast: Cast, written: str | int) -> None:
    answer = cast.client(cast.developer).call("PUT", "apps/demo/shop/sleep", {"after": written})
    assert answer.status_code == 400
    assert written == -1 or 'Write "10m"' in answer.json()["error"]["hint"]


@pytest.mark.parametrize("seconds", [1, 9, 31 * 86_400])
def test_not_any_idle_time(cast: Cast, seconds: int) -> None:
    with pytest.raises(BadInput, match="is not from 10"):
        actions.sleep_after(actor=cast.developer, app=cast.app, seconds=seconds)


@pytest.mark.parametrize(
    ("app", "release", "tenant", "seconds", "source"),
    [
        (None, None, None, 700, "machine"),
        (None, None, 90, 90, "tenant"),
        (None, None, 0, 0, "tenant"),
        (None, 60, 0, 60, "release"),
        (None, 0, 90, 0, "release"),
        (30, 60, 90, 30, "app"),
        (0, 60, 90, 0, "app"),
    ],
)
def test_who_is_nearest_to_the_app_has_the_last_word(
    cast: Cast,
    settings: Any,
    app: int | None,
    release: int | None,
    tenant: int | None,
    seconds: int,
    source: str,
) -> None:
    settings.SLEEP_AFTER = 700
    App.objects.filter(pk=cast.app.pk).update(sleep_after=app)
    Tenant.objects.filter(pk=cast.tenant.pk).update(sleep_after=tenant)
    web = ProcessSpec("web", ("x",), sleep_after=release)
    released(cast.app, cast.developer, report(processes=[web]))
    row = make_container(cast.app)
    assert sleep.after(Container.objects.get(pk=row.pk)) == seconds
    (told,) = cast.client(cast.viewer).call("GET", "apps/demo/shop/containers").json()
    assert (told["sleep_after"], told["sleep_source"]) == (seconds, source)


def test_a_release_from_before_says_nothing_of_it(cast: Cast, settings: Any) -> None:
    settings.SLEEP_AFTER = 700
    release = cast.app.releases.get()
    release.processes = [{"name": "web", "args": ["x"], "count": 1}]
    release.save()
    assert sleep.after(make_container(cast.app)) == 700


@pytest.mark.parametrize(("port", "seconds"), [(None, None), (5432, 700)])
def test_what_nothing_could_wake_has_no_idle_time(
    cast: Cast, settings: Any, port: int | None, seconds: int | None
) -> None:
    settings.SLEEP_AFTER = 700
    released(cast.app, cast.developer, report(processes=[ProcessSpec("db", ("x",), port=port)]))
    row = make_container(cast.app)
    Container.objects.filter(pk=row.pk).update(process_type="db", ready=True, address=20)
    App.objects.filter(pk=cast.app.pk).update(serving_release_id=row.release_id)
    assert [one.pk for one in sleep.who_may()] == ([row.pk] if port else [])
    (told,) = cast.client(cast.viewer).call("GET", "apps/demo/shop/containers").json()
    assert told["sleep_after"] == seconds
    assert sleep.after(Container.objects.get(pk=row.pk)) == (seconds or 0)


def test_a_row_follows_what_is_seen(cast: Cast) -> None:
    row = make_container(cast.app)
    assert observations.fell_asleep(row, since=NOON, used=5, left=2)
    assert not observations.fell_asleep(row, since=NOON, used=6, left=2)
    row.refresh_from_db()
    assert (row.status, row.slept_at) == (Container.Status.SLEEPING, NOON)
    assert (row.awake_bytes, row.memory_bytes) == (5, 2)
    observations.woke(row, at=NOON, usec=900)
    row.refresh_from_db()
    assert (row.status, row.slept_at, row.woken_at, row.wakes, row.wake_usec) == ("running", None, NOON, 1, 900)
    observations.woke(row, at=NOON, usec=800)  # told before it was seen asleep
    row.refresh_from_db()
    assert (row.status, row.wakes) == ("running", 2)


@pytest.mark.parametrize(
    ("statuses", "buttons", "pill"),
    [
        (["running"], {"Sleep"}, "Running"),
        (["sleeping"], {"Wake"}, "Asleep"),
        (["running", "sleeping"], {"Sleep", "Wake"}, "Running"),
    ],
)
def test_the_page_offers_what_applies(cast: Cast, statuses: list[str], buttons: set[str], pill: str) -> None:
    release = serving(cast).releases.get()
    release.processes = [{**release.processes[0], "count": len(statuses)}]
    release.save()
    for status in statuses:
        row = make_container(cast.app)
        slept = {"slept_at": NOON, "awake_bytes": 9 * MIB, "memory_bytes": MIB} if status == "sleeping" else {}
        Container.objects.filter(pk=row.pk).update(status=status, ready=True, **slept)
    page = " ".join(Browser(cast.developer).get("/t/demo/shop/").content.decode().split())
    assert {name for name in ("Sleep", "Wake") if f">{name}</button>" in page} == buttons
    assert re.search(rf"State: </span>\s*<span class=\"pill pill-\w+\">{pill}<", page)
    assert ("saves 8 MiB" in page) == ("sleeping" in statuses)
    viewed = Browser(cast.viewer).get("/t/demo/shop/").content.decode()
    assert ">Sleep</button>" not in viewed and ">Wake</button>" not in viewed


def test_what_nothing_could_wake_says_so(cast: Cast) -> None:
    release = serving(cast).releases.get()
    release.processes = [{**release.processes[0], "name": "worker"}]
    release.save()
    Container.objects.filter(pk=make_container(cast.app).pk).update(ready=True, process_type="worker")
    page = Browser(cast.developer).get("/t/demo/shop/").content.decode()
    assert "no port to be woken by" in page and ">Sleep</button>" not in page


@pytest.mark.parametrize(("swap", "told"), [(0, True), (None, False), (MIB, False)])
def test_a_machine_without_swap_says_what_is_missing(cast: Cast, swap: int | None, told: bool) -> None:
    serving(cast)
    make_container(cast.app)
    Machine.objects.create(memory_bytes=GIB, swap_bytes=swap)
    member = Browser(cast.developer).get("/t/demo/shop/").content.decode()
    assert ("no swap to sleep in" in member) == told and "bin/up" not in member
    assert ("bin/up --swap auto" in Browser(cast.admin).get("/machine/density/").content.decode()) == told


def test_the_settings_page_says_what_the_default_stands_for_and_where_it_comes_from(
    cast: Cast, settings: Any
) -> None:
    settings.SLEEP_AFTER = 900

    def told(who: Any, *processes: ProcessSpec) -> str:
        released(cast.app, cast.developer, report(processes=[*processes]))
        serving(cast)
        text = html.unescape(strip_tags(Browser(who).get("/t/demo/shop/settings/").content.decode()))
        return " ".join(text.split())

    web, db = ProcessSpec("web", ("x",)), ProcessSpec("db", ("x",), port=5432, sleep_after=0)
    worker = ProcessSpec("worker", ("x",))
    assert "the machine says, now 15m, this machine's. The" in told(cast.owner, web, worker)
    assert "idle for: default (15m, this machine's)" in told(cast.viewer, web)
    Tenant.objects.filter(pk=cast.tenant.pk).update(sleep_after=60)
    assert "now 1m, the tenant's." in told(cast.owner, web)
    assert "now web 1m, the tenant's; db never, from berth.toml." in told(cast.owner, web, db)
    assert "now 20s, from berth.toml." in told(cast.owner, replace(web, sleep_after=20))
    cast.app.sleep_after = 30
    assert "idle for: 30s Tenant" in told(cast.viewer, web), "a default is none of its concern"
    assert "now" not in told(cast.owner, worker).partition("the machine says")[2].partition(".")[0]


def test_the_settings_page_says_and_sets_after_how_long_it_sleeps(cast: Cast) -> None:
    browser, page = Browser(cast.owner), "/t/demo/shop/settings/"
    assert 'value="default"' in browser.get(page).content.decode()
    assert "Saved" in browser.post("/t/demo/shop/sleep/after/", {"after": "15m"}, follow=True).content.decode()
    cast.app.refresh_from_db()
    assert cast.app.sleep_after == 900 and 'value="15m"' in browser.get(page).content.decode()
    wrong = browser.post("/t/demo/shop/sleep/after/", {"after": "soon"}, follow=True).content.decode()
    assert "is not a time that is allowed" in wrong
    assert Browser(cast.viewer).post("/t/demo/shop/sleep/after/", {"after": "1h"}).status_code == 403
    cast.app.refresh_from_db()
    assert cast.app.sleep_after == 900
