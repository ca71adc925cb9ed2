from __future__ import annotations

from datetime import UTC, datetime, timedelta

from paas.worker.build_queue import Waiting, next_build

START = datetime(2026, 1, 1, tzinfo=UTC)


def waiting(*tenants: str) -> list[Waiting]:
    """One build each, a minute apart, called by its tenant and its place: a0, b1, a2."""
    return [
        Waiting(f"{tenant}{number}", tenant, START + timedelta(minutes=number))
        for number, tenant in enumerate(tenants)
    ]


def order(queue: list[Waiting], slots: int, *, at_once: int) -> list[str]:
    """In which order builds begin on a machine with `slots` workers, when the oldest that runs ends first."""
    running: list[Waiting] = []
    served: dict[str, datetime] = {}
    begun: list[str] = []
    while True:
        chosen = next_build(
            queue, [item.tenant_id for item in running], served, at_once=dict.fromkeys("abc", at_once)
        )
        if chosen is None or len(running) == slots:
            if not running:
                return begun
            running.pop(0)
            continue
        item = next(item for item in queue if item.build_id == chosen)
        queue.remove(item)
        running.append(item)
        begun.append(chosen)
        served[item.tenant_id] = START + timedelta(days=1, minutes=len(begun))


def test_nothing_waits() -> None:
    assert next_build([], ["a"], {}, at_once={}) is None


def test_one_tenant_alone_is_served_in_order() -> None:
    assert order(waiting("a", "a", "a"), slots=2, at_once=2) == ["a0", "a1", "a2"]


def test_who_asked_a_hundred_times_first_does_not_hold_up_the_others() -> None:
    queue = waiting(*"a" * 100, "b", "c")
    assert order(queue, slots=1, at_once=1)[:5] == ["a0", "b100", "c101", "a1", "a2"]


def test_tenants_take_turns() -> None:
    begun = order(waiting("a", "a", "a", "b", "b", "b"), slots=1, at_once=1)
    assert begun == ["a0", "b3", "a1", "b4", "a2", "b5"]


def test_a_second_worker_is_another_tenants() -> None:
    assert order(waiting("a", "a", "a", "b"), slots=2, at_once=2)[:2] == ["a0", "b3"]


def test_a_tenant_at_its_limit_waits_even_if_a_worker_is_idle() -> None:
    assert next_build(waiting("a"), ["a"], {}, at_once={"a": 1, "b": 2}) is None
    assert next_build(waiting("a", "b"), ["a", "b"], {}, at_once={"a": 1, "b": 2}) == "b1"
    assert next_build(waiting("c"), ["c"], {}, at_once={}) is None, "one, of whom nothing is known"
