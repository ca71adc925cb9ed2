"""Room on the machine for one more container, made where there is none by who is idle (see paas.admission)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db.models import Sum

from paas.admission import Answer, Idle, Room, admit, need
from paas.errors import Refused
from paas.linux import memory
from paas.linux.memory import Memory
from paas.specs import ProcessSpec
from paas.worker import engine, evening, sleep, used
from paas.worker.idle import due, quiet
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE
from tenants.fleet.models import Peak


def demand(app: App, process: ProcessSpec, memory_now: Callable[[], Memory] = memory.read) -> None:
    """Refused where the machine has no memory left that one more of these would need, and no idle app of
    anybody else can sleep to make room. Who does sleeps when this returns, and memory was looked at again:
    what a sleep gives back is not known before.
    """
    peak = Peak.objects.filter(app=app, process_type=process.name).first()
    needs = need(process.memory_bytes, peak.bytes if peak else 0)

    def ask(idle: Sequence[Idle] = ()) -> Answer:
        return admit(_room(memory_now(), idle), process.memory_bytes, needs)

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
    try:
        return engine.runtime().reading(row.tenant_id, row.app_id, row.pk).anonymous
    except FileNotFoundError:  # it ends
        return 0


def _room(now: Memory, idle: Sequence[Idle]) -> Room:
    promised = Container.objects.filter(status__in=LIVE).aggregate(sum=Sum("memory_limit"))["sum"]
    return Room(
        memory=now.total,
        available=now.available,
        swap=now.swap,
        swap_free=now.swap_free,
        untouched=now.untouched,
        reserved=promised or 0,
        idle=idle,
    )
