"""Who goes to sleep when memory is short, on the real kernel: containers with memory of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from paas.agent.sleep import Sleep
from paas.errors import Refused
from paas.linux.cgroups import Cgroup
from paas.linux.memory import Memory
from paas.network import nfnetlink
from paas.network.awaited import AWAITED
from paas.network.nfnetlink import Element
from paas.specs import MIB, ProcessSpec
from paas.worker import engine, evening, launch, room, sleep, used
from paas.worker.roll_out import start_process
from paas.worker.used import Use
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.fleet.models import Reading
from tests.swap import swapping
from tests.worker.host import CGROUP_ROOT, Host

__all__ = ["swapping"]
pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("swapping")]
HELD = 24 * MIB
HOLDS = ProcessSpec(
    name="web", args=("sh", "-c", "dd if=/dev/zero bs=24M | sleep 600"), memory_bytes=48 * MIB, port=5000
)
NEW = ProcessSpec(name="web", args=("true",), memory_bytes=64 * MIB)


def held() -> int:
    return Cgroup(CGROUP_ROOT).usage().memory_bytes


@pytest.fixture
def three(host: Host) -> list[Container]:
    """They serve; the first is the one that was used last."""
    app = host.cast.app
    App.objects.filter(pk=app.pk).update(serving_release_id=host.release.pk)
    rows = [start_process(app, host.release, HOLDS, index) for index in (1, 2, 3)]
    Container.objects.update(ready=True)
    end = time.monotonic() + 20
    while held() < 3 * HELD:
        assert time.monotonic() < end, f"only {held()} bytes are held"
        time.sleep(0.02)
    return rows


def uses(rows: list[Container]) -> dict[str, Use]:
    """A minute and a bit ago, two, three."""
    now = time.monotonic()
    return {
        row.pk: Use(now - 70.0 * number, engine.runtime().usage(row.pk).cpu_usec)
        for number, row in enumerate(rows, start=1)
    }


def missing(amount: int, total: int, enough: int) -> Callable[[], Memory]:
    """A machine on which `amount` less than `enough` is available until they hold that much less."""
    before = held()
    return lambda: Memory(total, enough - amount + before - held(), 128 * MIB, 120 * MIB, 0)


def statuses(rows: list[Container]) -> list[str]:
    for row in rows:
        row.refresh_from_db()
    return [row.status for row in rows]


def test_pressure_takes_the_least_recently_used_until_there_is_room(three: list[Container]) -> None:
    short = missing(HELD + HELD // 2, 1024 * MIB, 103 * MIB)
    assert evening.look(uses(three), lambda: True, short) == [three[2].pk, three[1].pk]
    assert statuses(three) == ["running", "sleeping", "sleeping"]
    assert evening.look(uses(three), lambda: True, short) == [], (
        "there is room now, and they may rest for longer"
    )
    take_down(three)


def test_room_for_one_more_is_made_by_others_that_are_idle(host: Host, three: list[Container]) -> None:
    Container.objects.update(ready=False)
    assert 0 < room._starting() <= 3 * (HOLDS.memory_bytes - HELD), "what they hold is not counted twice"
    Container.objects.update(ready=True)
    used.note(uses(three))
    reserve, app = 256 * MIB, App.objects.create(tenant=host.cast.other, name="another")
    with pytest.raises(Refused, match="no idle app can sleep") as refused:
        demand(host.cast.app, NEW, missing(HELD, 1024 * MIB, reserve + 64 * MIB))
    assert "berth sleep" in refused.value.hint
    with pytest.raises(Refused):
        demand(app, NEW, missing(4 * HELD, 1024 * MIB, reserve + 64 * MIB))
    assert statuses(three) == ["running"] * 3, "who sleeps in vain, or for itself"
    short = missing(HELD + HELD // 2, 1024 * MIB, reserve + 64 * MIB)
    demand(app, NEW, short)
    assert statuses(three) == ["running", "sleeping", "sleeping"]
    assert short().available >= reserve + 64 * MIB
    with sleep.awake(three[2]):
        pass
    assert launch.observe(three[2]).status == "running"
    take_down(three)


def test_who_owes_another_container_an_answer_stays_awake(three: list[Container]) -> None:
    owes, caller = (sleep._address(row).packed for row in (three[2], three[1]))
    question = Element(AWAITED, caller + b"\x90\x01\0\0" + owes + b"\x13\x88\0\0")
    nfnetlink.add(engine.bed().asleep.table, question)
    assert [one.awaited for one in used.candidates(three, uses(three))] == [False, False, True]
    short = missing(HELD + HELD // 2, 1024 * MIB, 103 * MIB)
    assert evening.look(uses(three), lambda: True, short) == [three[1].pk, three[0].pk]
    assert not sleep.put_to_sleep(three[2], 0.0)
    assert statuses(three) == ["sleeping", "sleeping", "running"]
    nfnetlink.remove(engine.bed().asleep.table, question)
    assert sleep.put_to_sleep(three[2], 0.0)
    take_down(three)


def test_a_row_says_what_is_so_when_whoever_worked_on_it_died_before_it_told(
    three: list[Container], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sleep, "SETTLING", timedelta(0))
    row, asleep = three[2], engine.bed().asleep
    assert sleep.put_to_sleep(row, 0.0)
    told = Reading.objects.get(pk=row.pk)
    assert told.swap > HELD // 2 and told.anonymous < HELD // 4, "nobody reads it while it sleeps"
    assert told.unshared is not None and told.unshared < HELD // 4
    sleep.settle()
    assert statuses([row]) == ["sleeping"]
    Container.objects.filter(pk=row.pk).update(status="running")  # nobody told of the sleep
    sleep.settle()
    assert statuses([row]) == ["sleeping"]
    asleep.lift(sleep._address(row))
    engine.runtime().cgroup_of(row.pk).thaw()
    sleep.settle()
    assert asleep.all() == []
    sleep.settle()
    assert statuses([row]) == ["running"]
    assert sleep.put_to_sleep(row, 0.0)
    row.refresh_from_db()
    assert row.saved_bytes > HELD // 2, "what it has not touched since its last wake, too"
    take_down(three)


def demand(app: App, process: ProcessSpec, memory_now: Callable[[], Memory]) -> None:
    with room.found(app, process, memory_now):
        pass


def take_down(rows: list[Container]) -> None:
    for row in rows:
        launch.take_down(row, reason="", grace=0.0)


def test_an_agent_that_starts_anew_goes_on_where_the_former_was(three: list[Container]) -> None:
    former = Sleep()
    former._look()
    noted = used.recall()
    assert noted.keys() == {row.pk for row in three}
    anew = Sleep()
    anew._look()
    assert used.recall() == noted, "nobody was used since"
    take_down(three)
