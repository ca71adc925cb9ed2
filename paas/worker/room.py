"""Room on the machine for one more container, made where there is none by who is idle (see paas.admission)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django.db.models import Q, Sum

from paas.admission import Answer, Idle, Room, admit, need
from paas.errors import Refused
from paas.linux import memory
from paas.linux.memory import Memory
from paas.specs import ProcessSpec, Reading
from paas.worker import engine, evening, lock, sleep, used
from paas.worker.idle import due, quiet
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE
from tenants.fleet.models import Peak

_STARTING = Q(kind=Container.Kind.PROCESS, ready=False)


@contextmanager
def found(app: App, process: ProcessSpec, memory_now: Callable[[], Memory] = memory.read) -> Iterator[None]:
    """Room for one more of these, which is to have its row when the block ends. One at a time: whoever comes
    next finds the row, and counts what that one will need.

    Refused where the machine has no memory left for it, and no idle app of anybody else can sleep to make room.
    Who does sleeps when this yields, and memory was looked at again: what a sleep gives back is not known
    before.
    """
    with lock.held("room", wait=True):
        _demand(app, process, memory_now)
        yield


def _demand(app: App, process: ProcessSpec, memory_now: Callable[[], Memory]) -> None:
    limit = process.memory_bytes
    if not admit(_room(memory_now(), (), roughly=True), limit, limit).short:
        return  # even if it took all that it may
    peak = Peak.objects.filter(app=app, process_type=process.name).first()
    needs = need(limit, peak.bytes if peak else 0)

    def ask(idle: Sequence[Idle] = ()) -> Answer:
        return admit(_room(memory_now(), idle, roughly=False), limit, needs)

    if not ask().short:
        return
    answer = _make_room(app, ask)
    if answer.why:
        raise Refused(f"cannot start {process.name} of {app}: {answer.why}", hint=answer.hint)


def _make_room(app: App, ask: Callable[[Sequence[Idle]], Answer]) -> Answer:
    """The last answer; each who may sleep is tried once."""
    running = sleep.who_may(status=Container.Status.RUNNING)
    rows = {row.pk: row for row in running if row.app_id != app.pk}
    known = used.candidates(rows.values(), used.recall())
    waiting = {one.container_id: one for one in due(known, pressed=True)}
    idle = [Idle(pk, _gives(rows[pk])) for pk in waiting]
    while (answer := ask(idle)).to_sleep:
        first = answer.to_sleep[0]
        evening.lay(rows[first], quiet(waiting[first], pressed=True))
        idle = [one for one in idle if one.id != first]
    return answer


def _gives(row: Container) -> int:
    seen = _seen(row)
    return seen.anonymous if seen else 0


def _seen(row: Container) -> Reading | None:
    """None where there is nothing yet, or nothing any more."""
    try:
        return engine.runtime().reading(row.tenant_id, row.app_id, row.pk)
    except FileNotFoundError:
        return None


def _room(now: Memory, idle: Sequence[Idle], roughly: bool) -> Room:
    """`roughly`: as if what is starting took all that it may, which costs no look at what it holds."""
    live = Container.objects.filter(status__in=LIVE)
    sums = live.aggregate(promised=Sum("memory_limit"), starting=Sum("memory_limit", filter=_STARTING))
    return Room(
        memory=now.total,
        available=now.available,
        swap=now.swap,
        swap_free=now.swap_free,
        untouched=now.untouched,
        reserved=sums["promised"] or 0,
        starting=_starting() if sums["starting"] and not roughly else sums["starting"] or 0,
        idle=idle,
    )


def _starting() -> int:
    """Bytes that those which only just start will still take: what their like needs, less what they hold."""
    rows = list(Container.objects.filter(_STARTING, status__in=LIVE))
    peaks = Peak.objects.filter(app__in={row.app_id for row in rows})
    known = {(peak.app_id, peak.process_type): peak.bytes for peak in peaks}
    found = 0
    for row in rows:
        seen = _seen(row)
        held = seen.working_set + seen.swap if seen else 0
        found += max(0, need(row.memory_limit, known.get((row.app_id, row.process_type), 0)) - held)
    return found
