from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.specs import ProcessSpec
from paas.worker.plan import BACK_OFF_MOST, Life, back_off, slots, upkeep

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def life(ended: float, *, ran: float = 1.0, counts: bool = True) -> Life:
    """A life that ended `ended` seconds ago after running `ran` seconds."""
    end = NOW - timedelta(seconds=ended)
    return Life(started=end - timedelta(seconds=ran), ended=end, counts=counts)


def test_slots_number_each_process_type_from_one() -> None:
    processes = [
        ProcessSpec("web", ("a",), count=2),
        ProcessSpec("worker", ("b",), count=1),
        ProcessSpec("off", (), 0),
    ]
    assert slots(processes) == (("web", 1), ("web", 2), ("worker", 1))


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (50, 300)]
)
def test_back_off_doubles_to_five_minutes(failures: int, seconds: int) -> None:
    assert back_off([life(0)] * failures) == timedelta(seconds=seconds)


def test_back_off_begins_anew_after_a_steady_run() -> None:
    assert back_off([life(0, ran=3600), life(4000), life(4100)]) == timedelta(seconds=10)


def test_an_end_by_the_platform_is_not_held_against_the_app() -> None:
    assert back_off([life(0, counts=False), life(10)]) == timedelta(0)


def test_a_missing_slot_starts_and_a_surplus_container_stops() -> None:
    todo = upkeep([("web", 1), ("web", 2)], {"c1": ("web", 1), "c2": ("web", 1), "c3": ("old", 1)}, {}, NOW)
    assert (todo.start, todo.stop) == ((("web", 2),), ("c2", "c3"))


def test_a_slot_in_back_off_waits_and_says_until_when() -> None:
    todo = upkeep([("web", 1)], {}, {("web", 1): [life(4)]}, NOW)
    assert (todo.start, todo.next_due) == ((), NOW + timedelta(seconds=6))


def test_a_slot_past_its_back_off_starts() -> None:
    assert upkeep([("web", 1)], {}, {("web", 1): [life(11)]}, NOW).start == (("web", 1),)


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    slot = ("web", 1)
    assert upkeep([slot], {}, {slot: [life(-3600)]}, NOW).start == (slot,)
    todo = upkeep([slot], {}, {slot: [life(-3600), life(4)]}, NOW)
    assert (todo.start, todo.next_due) == ((), NOW + timedelta(seconds=6)), "the back-off goes on"


@given(st.lists(st.integers(0, 3), max_size=4), st.dictionaries(st.text("abc", min_size=1), st.integers(1, 3)))
def test_applying_the_plan_settles(counts: list[int], running: dict[str, int]) -> None:
    wanted = slots([ProcessSpec(f"p{i}", (), count=n) for i, n in enumerate(counts)])
    have = {pk: ("p0", index) for pk, index in running.items()}
    todo = upkeep(wanted, have, {}, NOW)
    after = {pk: slot for pk, slot in have.items() if pk not in todo.stop}
    after |= {f"new{i}": slot for i, slot in enumerate(todo.start)}
    assert sorted(after.values()) == sorted(wanted)
    assert not upkeep(wanted, after, {}, NOW).start and not upkeep(wanted, after, {}, NOW).stop


def test_the_longest_wait_is_bounded() -> None:
    assert back_off([life(i) for i in range(500)]) == BACK_OFF_MOST
