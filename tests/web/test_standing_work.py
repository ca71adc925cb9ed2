"""What the agent does again and again costs no more with many apps than with few."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from paas import live, usage
from paas.agent import metrics
from paas.agent.metrics import Sampler, is_same
from paas.linux import memory
from paas.logs import read_tail
from paas.specs import Reading, Weight
from paas.worker import engine, room, sleep, sweep
from paas.worker.rounds import Round
from paas.worker.routes import routes
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.observations import _lowest_free_of_containers
from tests.web.cast import Cast
from tests.web.pages import Browser

READING = Reading(5_000_000, 4_000_000, 1_000_000, 500_000, 0, 0, 3, 1_000_000, 0, 0, (None, None, None))


@pytest.fixture
def many(cast: Cast) -> list[Container]:
    return Container.objects.bulk_create(
        Container(
            tenant=cast.tenant, app=cast.app, memory_limit=1, address=16 + n, status="running", kind="process"
        )
        for n in range(7)
    )


def test_a_round_sees_all_in_turn_and_few_at_each(many: list[Container]) -> None:
    walk, rows = Round(3), Container.objects.all()
    turns = [[row.pk for row in walk.next(rows)] for _ in range(7)]
    assert {len(turn) for turn in turns} == {3}
    assert sorted(pk for turn in turns for pk in turn) == sorted(3 * [row.pk for row in many])
    assert len(Round(7).next(rows)) == len(Round(8).next(rows)) == 7
    assert Round(8).next(rows.none()) == []


class Reads:
    def __init__(self) -> None:
        self.ids: list[str] = []
        self.found = READING

    def reading(self, tenant_id: str, app_id: str, container_id: str) -> Reading:
        self.ids.append(container_id)
        return self.found

    def weigh(self, *ids: str) -> Weight:
        return Weight(3_000_000, 1_000_000, 500_000, 100_000)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, platform: redis.Redis[bytes]) -> Reads:
    found = Reads()
    monkeypatch.setattr(engine, "runtime", lambda: found)
    monkeypatch.setattr(metrics, "MOST_OTHERS", 2)
    return found


def test_only_what_somebody_looks_at_is_read_each_time(cast: Cast, many: list[Container], reads: Reads) -> None:
    sampler = Sampler()
    sampler.sample()
    assert len(reads.ids) == 2
    with live.client().pubsub() as page:
        page.subscribe(live.channel(cast.tenant.pk))
        page.get_message(timeout=5)
        reads.ids.clear()
        sampler.sample()
    assert {row.pk for row in many} <= set(reads.ids)
    assert Container.objects.filter(memory_bytes=5_000_000, pids=3).count() == 7


def test_who_sleeps_is_not_read_and_what_is_the_same_is_not_written(
    many: list[Container], reads: Reads
) -> None:
    Container.objects.exclude(pk=many[0].pk).update(status="sleeping")
    sampler = Sampler()
    sampler.sample()
    assert reads.ids == [many[0].pk]
    before = Container.objects.get(pk=many[0].pk).sampled_at
    sampler.sample()
    assert reads.ids == [many[0].pk] * 2
    assert Container.objects.get(pk=many[0].pk).sampled_at == before is not None


def test_a_process_that_was_killed_for_want_of_memory_is_told_while_its_container_goes_on(
    cast: Cast, many: list[Container], reads: Reads
) -> None:
    row = many[0]
    Container.objects.exclude(pk=row.pk).update(status="sleeping")
    Container.objects.filter(pk=row.pk).update(process_type="web", memory_limit=256 << 20)
    log = settings.PATHS.container_log(row.pk)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    sampler = Sampler()
    for kills in (0, 1, 1, 3):  # since the container started
        reads.found = replace(READING, oom_kills=kills)
        sampler.sample()
    said = [line.text for line in read_tail(log, 10)]
    assert said == [
        f"a process was killed: out of memory. web.1 may have 256 MiB. {metrics.MORE_MEMORY}",
        f"2 processes were killed: out of memory. web.1 may have 256 MiB. {metrics.MORE_MEMORY}",
    ]
    found = cast.client(cast.viewer).call("GET", "apps/demo/shop/containers").json()
    (told,) = [one for one in found if one["id"] == row.pk]
    assert (told["oom_kills"], told["oom_killed"], told["status"]) == (3, False, "running")
    assert told["oom_killed_at"]
    page = " ".join(strip_tags(Browser(cast.viewer).get("/t/demo/shop/").content.decode()).split())
    assert "Out of memory 3 of its processes were killed, last" in page and "limit 256 MiB" in page
    Sampler().sample()  # a later agent does not tell it again
    assert len(read_tail(log, 10)) == 2


def test_a_chart_counts_those_that_sleep_beside_one_that_is_read(
    cast: Cast, many: list[Container], reads: Reads
) -> None:
    Container.objects.exclude(pk=many[0].pk).update(status="sleeping", memory_bytes=1_000_000)
    Sampler().sample()
    assert [point[1] for point in usage.history(cast.app.pk)] == [5_000_000 + 6 * 1_000_000]


def test_what_looks_the_same_on_a_page() -> None:
    row = (100_000_000, 50, 3)
    assert is_same(row, (101_000_000, 52, 3))
    assert not is_same(row, (103_000_000, 50, 3))
    assert not is_same(row, (100_000_000, 60, 3))
    assert not is_same(row, (100_000_000, 50, 4))
    assert not is_same((0, 0, 0), (1000, 0, 0)), "its first reading"


def test_a_tenant_s_routes_are_those_of_its_apps(cast: Cast) -> None:
    other = Tenant.objects.create(slug="third", name="Third", range_index=77)
    before = routes()
    theirs = App.objects.create(tenant=other, name="theirs")
    assert [route.app_id for route in routes(other)] == [theirs.pk]
    assert cast.app.pk in {route.app_id for route in routes(cast.tenant)}
    assert len(routes()) == len(before) + 1


HOT: dict[str, Callable[[], Any]] = {
    "a free address": _lowest_free_of_containers,
    "left on the host": sweep.uncleared,
    "below formation": sweep.below_formation,
    "unlike their rows": sweep.unlike_their_rows,
    "who may sleep": lambda: sleep.who_may(status="running"),
    "who sleeps": sleep.asleep,
    "room for one more": lambda: room._room(memory.read(), (), roughly=False),
    "ordered to": sleep.ordered,
    "chosen for sampling": lambda: Round(2).next(metrics._running()),
}


@pytest.mark.parametrize("name", HOT)
def test_what_is_asked_again_and_again_has_an_index(
    name: str, many: list[Container], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_has_ended", lambda container_id: False)
    with CaptureQueriesContext(connection) as asked:
        HOT[name]()
    assert asked.captured_queries
    for query in asked.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            steps = [row[-1] for row in cursor.fetchall()]
        whole = [step for step in steps if step.startswith("SCAN") and "INDEX" not in step]
        large = ("container", "release", "apps_app")
        assert not [step for step in whole if any(name in step for name in large)], (query["sql"], steps)
