"""The ledger: what readings become, who reads it, what is advised, and whether one more fits."""

from __future__ import annotations

import html
import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from paas import admission
from paas.admission import Idle, Room, admit
from paas.errors import Conflict, NotFound, Refused
from paas.linux import shares
from paas.linux.memory import Memory
from paas.specs import MIB, ProcessSpec, Reading, Weight
from paas.templatetags.berth import waits
from paas.worker import room, sweep
from tenants.apps.models import App
from tenants.audit.models import Event
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.fleet import ledger, readings
from tenants.fleet.density import Totals
from tenants.fleet.models import Machine, Peak
from tenants.fleet.models import Reading as Row
from tenants.fleet.readings import KEPT_DAYS, Taken, with_day
from tenants.releases import actions, limits
from tenants.releases.limits import right_size
from tests.web.cast import Cast, released, report
from tests.web.pages import Browser

GIB = 1024 * MIB
BEFORE = Reading(50 * MIB, 40 * MIB, 8 * MIB, 4 * MIB, 0, 2 * MIB, 3, 0, 1_000_000, 1000, (0, 0, 500_000))
AFTER = replace(BEFORE, throttled_usec=1_500_000, io_bytes=21_000, stalled_usec=(2_500_000, 0, 0))


@pytest.fixture
def row(cast: Cast) -> Container:
    Machine.objects.create(cores=2, memory_bytes=4 * GIB, memory_available_bytes=3 * GIB)
    own: dict[str, Any] = {"kind": "process", "process_type": "web", "memory_limit": 512 * MIB}
    return Container.objects.create(
        tenant=cast.tenant, app=cast.app, status="running", ready=True, memory_bytes=50 * MIB, **own
    )


def test_counters_become_shares_of_the_time_between(row: Container) -> None:
    readings.keep([Taken(row, BEFORE)])
    assert Row.objects.values_list("throttled", "stalled_cpu", "io_rate").get() == (0, 0, 0)
    readings.weighed(row.pk, Weight(7, 8, files_used=9, files_part=2))
    readings.keep([Taken(row, AFTER, BEFORE, 10.0)])
    kept = Row.objects.get()
    assert (kept.throttled, kept.stalled_cpu, kept.stalled_io, kept.io_rate) == (50, 250, 0, 2000)
    assert (kept.unshared, kept.shared, kept.files_used, kept.files_part) == (7, 8, 9, 2), (
        "weighing is rare: its figures stay"
    )
    readings.keep([Taken(row, replace(AFTER, io_bytes=None), AFTER, 10.0)])
    assert Row.objects.get().io_rate is None, "what is not counted is not nothing"
    assert Peak.objects.get().bytes == 52 * MIB, "what it has in memory and in swap"
    row.status = "stopped"
    row.save()
    assert readings.forget_ended() == 1 and not Row.objects.exists()


def test_a_kernel_that_tells_no_stalls_leaves_them_unknown(row: Container) -> None:
    v1 = replace(AFTER, stalled_usec=(2_500_000, None, None))
    readings.keep([Taken(row, v1, BEFORE, 10.0)])
    found = ledger.rows().get()
    assert (found["stalled"], found["stalled_memory"], found["stalled_io"]) == (250, None, None)
    assert waits(found) == ["25% cpu", "5% its limit"]
    readings.keep([Taken(row, replace(v1, stalled_usec=(None, None, None)), v1, 10.0)])
    found = ledger.rows().get()
    assert (found["stalled_cpu"], found["stalled"], waits(found)) == (None, 0, [])


def test_what_sleep_saves_and_what_sharing_saves(row: Container) -> None:
    readings.keep([Taken(row, BEFORE)])
    readings.weighed(row.pk, Weight(7 * MIB, 8 * MIB, files_used=12 * MIB, files_part=2 * MIB))
    assert ledger.totals().saved == 0, "it runs"
    observations.fell_asleep(row, since=timezone.now(), used=55 * MIB, left=5 * MIB)
    found = ledger.totals()
    assert (found.asleep, found.saved, found.files_saved) == (1, 50 * MIB, 10 * MIB)
    Container.objects.filter(pk=row.pk).update(awake_bytes=MIB)
    assert ledger.rows().get()["saved"] == 0, "never less than nothing"


def test_peaks_are_kept_by_day_for_some_weeks() -> None:
    days: dict[str, int] = {}
    for n in range(KEPT_DAYS + 5):
        days = with_day(days, date(2026, 1, 1) + timedelta(days=n), 100 * MIB - n)
    assert len(days) == KEPT_DAYS and min(days) == "2026-01-06"
    assert with_day(days, date(2026, 2, 4), 100 * MIB) is days


def test_only_administrators_see_it_and_all_see_the_same(cast: Cast, row: Container) -> None:
    readings.keep([Taken(row, BEFORE)])
    assert Browser(cast.owner).get("/machine/density/").status_code == 403
    for by in ledger.BY:
        for sort in ledger.SORTS:
            page = Browser(cast.admin).get(f"/machine/density/?by={by}&sort={sort}&q=").content.decode()
            assert "512.0 MiB" in page or "512 MiB" in page
    page = Browser(cast.admin).get("/machine/density/?asleep=7").content.decode()
    assert 'value="7"' in page and 'value="64"' in page, "what is not asked is as if nothing was"
    Container.objects.filter(pk=row.pk).update(release=cast.app.releases.get())
    found = json.loads(
        cast.client(cast.admin).call("GET", "machine/density?by=process&size=64&asleep=50").content
    )
    assert (found["reserved"], found["containers"], found["overcommit"]) == (512 * MIB, 1, 0.125)
    assert found["rows"][0]["advice"] == 80 * MIB and found["rows"][0]["process"] == "web"
    assert (found["fits"], found["bound"]) == (0, "swap")  # there is none
    found = json.loads(cast.client(cast.admin).call("GET", "machine/density?size=64&asleep=0").content)
    assert (found["fits"], found["bound"]) == ((3 * GIB - 256 * MIB) // (64 * MIB), "memory")
    assert found["as_machines"] == (512 + 160) * MIB
    assert found["disk_promised"] == cast.tenant.disk_bytes + cast.other.disk_bytes


def test_it_costs_the_same_with_thousands(
    cast: Cast, row: Container, django_assert_max_num_queries: Any
) -> None:
    own: dict[str, Any] = {"kind": "process", "process_type": "web", "memory_limit": 1, "status": "running"}
    Container.objects.bulk_create(
        Container(tenant=cast.other, app=cast.app, memory_bytes=n, **own) for n in range(1500)
    )
    admin = Browser(cast.admin)
    for by in ledger.BY:
        with django_assert_max_num_queries(15):
            assert admin.get(f"/machine/density/?by={by}").status_code == 200


@given(st.integers(1, 2**40), st.integers(0, 2**40), st.integers(1, 2**40))
def test_advice_is_never_below_what_was_needed(limit: int, peak: int, quota: int) -> None:
    better = right_size(limit, peak, quota)
    assert better is None or (min(peak * 5 // 4, quota) <= better <= quota and better != limit)
    if better is not None and better > limit:
        assert peak > limit * 9 // 10


def test_advice_waits_for_something_to_go_by() -> None:
    quota = 1024 * MIB
    assert right_size(512 * MIB, 0, quota) is None
    assert right_size(512 * MIB, 60 * MIB, quota) == 80 * MIB
    assert right_size(80 * MIB, 60 * MIB, quota) is None
    assert right_size(64 * MIB, 63 * MIB, quota) == 80 * MIB


def test_no_advice_is_above_the_tenant_s_quota() -> None:
    quota = 256 * MIB
    assert right_size(192 * MIB, 210 * MIB, quota) == quota
    assert right_size(quota, 210 * MIB, quota) is None and right_size(quota, 250 * MIB, quota) is None
    assert right_size(1024 * MIB, 300 * MIB, quota) is None, "what it needs is above the quota already"


def test_how_many_more_fit() -> None:
    totals = Totals(4 * GIB, 2 * GIB, 8 * GIB, 0, 0, 0, 0, 0, 10, 4)
    assert totals.overcommit == 2.0
    assert totals.fits(100 * MIB, 0) == ((2 * GIB - 256 * MIB) // (100 * MIB), "memory")
    assert replace(totals, available=100 * MIB).fits(100 * MIB, 0) == (0, "memory")
    assert totals.fits(102 * MIB, 100) == (0, "swap")
    swaps = replace(totals, swap_total=8 * GIB, swap_free=5 * GIB)
    assert swaps.fits(102 * MIB, 100) == (51, "swap")
    assert swaps.fits(102 * MIB, 10) == (19, "memory")
    assert replace(swaps, reserved=239 * GIB, swap_free=GIB * GIB).fits(102 * MIB, 100) == (10, "limits")
    assert replace(totals, disk=GIB, disk_promised=5 * GIB // 2).disk_overcommit == 2.5


def test_private_pages_and_a_part_of_the_shared_ones() -> None:
    text = "00400000-7ff [rollup]\nRss: 90 kB\nPss: 50 kB\nPrivate_Clean: 10 kB\nPrivate_Dirty: 20 kB\n"
    files = "Pss_File: 15 kB\nAnonymous: 30 kB\n"
    assert shares.parse(text + files) == Weight(
        30 * 1024, 20 * 1024, files_used=60 * 1024, files_part=15 * 1024
    )
    assert shares.parse("") == Weight(0, 0, 0, 0)


def test_files_that_processes_of_one_app_both_use_are_counted_once() -> None:
    two = [Weight(1, 2, files_used=60, files_part=15), Weight(3, 4, files_used=50, files_part=15)]
    assert shares.together(two) == Weight(4, 6, files_used=60, files_part=30)
    assert shares.together([replace(one, files_used=20) for one in two]).files_used == 30
    assert shares.together([]) == Weight(0, 0, 0, 0)


ROOM = Room(memory=8 * GIB, available=2 * GIB, swap=4 * GIB, swap_free=100 * MIB, reserved=20 * GIB)


def test_what_fits_is_admitted_and_nobody_is_put_to_sleep_for_it() -> None:
    with_idle = replace(ROOM, idle=(Idle("a", 50 * MIB),))
    assert admit(with_idle, 512 * MIB, 100 * MIB) == admission.Answer()


def test_room_is_made_by_the_least_recently_used_and_by_no_more_than_needed() -> None:
    idle = (Idle("old", 60 * MIB), Idle("huge", 900 * MIB), Idle("newer", 40 * MIB), Idle("newest", 40 * MIB))
    tight = replace(ROOM, available=admission.reserve(8 * GIB) + 10 * MIB, idle=idle)
    assert admit(tight, GIB, 100 * MIB).to_sleep == ("old", "newer"), "what swap cannot hold is passed over"


def test_what_fits_nowhere_is_refused_with_what_to_do() -> None:
    full = replace(ROOM, available=admission.reserve(8 * GIB), swap=0, swap_free=0, idle=(Idle("a", GIB),))
    said = admit(full, GIB, 100 * MIB)
    assert said.to_sleep == () and "100 MiB of memory are needed" in said.why and "no swap" in said.why
    assert "bin/up --swap" in said.hint
    mad = admit(replace(ROOM, reserved=20 * 12 * GIB), GIB, MIB)
    assert "20 times" in mad.why and "density" in mad.hint


def test_what_is_starting_will_take_is_taken() -> None:
    fits = replace(ROOM, available=admission.reserve(8 * GIB) + 170 * MIB, starting=60 * MIB)
    assert admit(fits, GIB, 100 * MIB) == admission.Answer()
    full = admit(replace(fits, starting=80 * MIB), GIB, 100 * MIB)
    assert full.short and "what is starting the machine has 90 MiB to give" in full.why


def test_it_is_asked_before_a_container_is_made(cast: Cast, row: Container) -> None:
    process = ProcessSpec(name="web", args=("x",), memory_bytes=512 * MIB)
    fits, full = Memory(4 * GIB, 390 * MIB, GIB, 0, 0), Memory(4 * GIB, 290 * MIB, GIB, 0, GIB)
    swaps = replace(full, swap_free=60 * MIB)
    for now, ends in ((fits, True), (full, False), (swaps, True), (replace(swaps, untouched=MIB), False)):
        refused = pytest.raises(Refused, match="cannot start web of demo/shop: 64 MiB")
        with nullcontext() if ends else refused, room.found(cast.app, process, partial(replace, now)):
            pass
    Peak.objects.create(app=cast.app, process_type="web", days={"2026-11-27": 300 * MIB})
    refused = pytest.raises(Refused, match="300 MiB of memory are needed")
    with refused, room.found(cast.app, process, lambda: fits):
        pass


def test_the_kernel_is_counted_on_only_for_what_sleep_does_not_give() -> None:
    tight = replace(ROOM, available=admission.reserve(8 * GIB), untouched=GIB, swap_free=200 * MIB)
    assert admit(tight, GIB, 100 * MIB) == admission.Answer(short=True)
    one = (Idle("a", 60 * MIB),)
    assert admit(replace(tight, idle=one), GIB, 100 * MIB) == admission.Answer(True, ("a",))


def test_the_reserve_and_what_is_expected_are_bounded() -> None:
    assert [admission.reserve(size * GIB) // MIB for size in (1, 8, 64)] == [256, 409, 1024]
    assert admission.need(32 * MIB) == 32 * MIB and admission.need(GIB) == 64 * MIB
    assert admission.need(GIB, 300 * MIB) == 300 * MIB


@pytest.fixture
def shop(cast: Cast) -> App:
    """v1 serves; its web process asks for 256 MiB and needed 60."""
    Peak.objects.create(app=cast.app, process_type="web", days={"2026-11-27": 60 * MIB})
    cast.app.refresh_from_db()
    return cast.app


def memory(app: App) -> int:
    return limits.in_force(app, app.releases.get(pk=app.serving_release_id))[0].memory_bytes


def test_advice_is_applied_told_of_and_taken_back(cast: Cast, shop: App) -> None:
    made = shop.releases.count()
    actions.right_size(actor=cast.developer, app=shop, process="web")
    shop.refresh_from_db()
    assert memory(shop) == 80 * MIB and shop.releases.count() == made, "nothing is restarted"
    said = Event.objects.get(verb="app.limit").detail
    assert (said["process"], said["memory"], said["before"]) == ("web", 80 * MIB, 256 * MIB)
    with pytest.raises(Conflict, match="about right"):
        actions.right_size(actor=cast.developer, app=shop, process="web")
    actions.undo_right_size(actor=cast.developer, app=shop, process="web")
    shop.refresh_from_db()
    assert memory(shop) == 256 * MIB and shop.limits == {}
    with pytest.raises(Conflict, match="limit of its release"):
        actions.undo_right_size(actor=cast.developer, app=shop, process="web")


def test_who_writes_another_limit_into_berth_toml_has_the_last_word(cast: Cast, shop: App) -> None:
    actions.right_size(actor=cast.developer, app=shop, process="web")
    web = ProcessSpec(name="web", args=("x",))
    for asked, held in ((256, 80), (300, 300), (256, 80)):
        released(shop, cast.developer, report(processes=[replace(web, memory_bytes=asked * MIB)]))
        shop.refresh_from_db()
        assert memory(shop) == held * MIB


def test_advice_that_is_stale_is_refused(cast: Cast, shop: App) -> None:
    with pytest.raises(Conflict, match="another by now: 80 MiB"):
        actions.right_size(actor=cast.developer, app=shop, process="web", advice=96 * MIB)
    with pytest.raises(NotFound, match="no process type 'worker'"):
        actions.right_size(actor=cast.developer, app=shop, process="worker")
    shop.refresh_from_db()
    assert shop.limits == {}


def test_advice_goes_up_to_the_tenant_s_quota_and_is_applied_there(cast: Cast, shop: App) -> None:
    Peak.objects.update(days={"2026-11-27": 1000 * MIB})
    shop.tenant.memory_bytes = GIB
    shop.tenant.save()
    actions.right_size(actor=cast.developer, app=shop, process="web")
    shop.refresh_from_db()
    assert memory(shop) == GIB


def test_one_click_on_either_page(cast: Cast, shop: App, row: Container) -> None:
    Container.objects.filter(pk=row.pk).update(release=shop.serving_release_id)
    admin, member = Browser(cast.admin), Browser(cast.developer)
    listed = "/machine/density/?by=process"
    page = admin.get(listed + "&sort=name").content.decode()
    assert 'value="83886080"' in page
    action = html.unescape(page.split('action="/machine/density/demo')[1].split('"')[0])
    done = admin.post(f"/machine/density/demo{action}", {"advice": 80 * MIB})
    assert done.headers["Location"] == "/machine/density/?by=process&sort=name&q=&page=1", "where it was"
    assert "was 256 MiB" in admin.get(listed).content.decode()
    page = member.get("/t/demo/shop/").content.decode()
    assert "instead of the 256 MiB" in " ".join(page.split())
    member.post("/t/demo/shop/limits/web/", {"undo": "1"})
    assert "instead of the" not in " ".join(member.get("/t/demo/shop/").content.decode().split())
    assert "Limit<" not in Browser(cast.viewer).get("/t/demo/shop/").content.decode()
    assert member.post("/t/demo/shop/limits/web/", {"advice": "much"}).status_code == 400


def test_the_sweep_finds_what_is_held_to_another_limit(cast: Cast, shop: App) -> None:
    """The message may be lost."""
    release = shop.serving_release_id
    own: dict[str, Any] = {"kind": "process", "process_type": "web", "status": "running"}
    Container.objects.create(tenant=cast.tenant, app=shop, release_id=release, memory_limit=256 * MIB, **own)
    assert shop.pk not in sweep.below_formation()
    actions.right_size(actor=cast.developer, app=shop, process="web")
    assert shop.pk in sweep.below_formation()
