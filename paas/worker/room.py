"""Room on the machine for one more container, asked before it is made (see paas.admission)."""

from __future__ import annotations

from pathlib import Path

from django.db.models import Sum

from paas.admission import Room, admit, need
from paas.errors import Refused
from paas.specs import ProcessSpec
from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.containers.selectors import LIVE
from tenants.fleet.models import Peak

_MEMINFO = Path("/proc/meminfo")


def demand(app: App, process: ProcessSpec) -> None:
    """Refused where the machine has no memory left that one more of these would need."""
    peak = Peak.objects.filter(app=app, process_type=process.name).first()
    answer = admit(_now(), process.memory_bytes, need(process.memory_bytes, peak.bytes if peak else 0))
    if answer.why:
        raise Refused(f"cannot start {process.name} of {app}: {answer.why}", hint=answer.hint)


def _now() -> Room:
    rows = (line.split() for line in _MEMINFO.read_text().splitlines())
    memory = {name.rstrip(":"): int(value) * 1024 for name, value, *_ in rows}
    promised = Container.objects.filter(status__in=LIVE).aggregate(sum=Sum("memory_limit"))["sum"]
    return Room(
        memory=memory["MemTotal"],
        # The kernel pages out by itself what nobody touches; half of the swap, so that some is left.
        available=memory["MemAvailable"] + memory["SwapFree"] // 2,
        swap=memory["SwapTotal"],
        swap_free=memory["SwapFree"],
        reserved=promised or 0,
    )
