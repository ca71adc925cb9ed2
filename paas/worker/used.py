"""When each container was last used: by packets, which the kernel counts, and by what it computed since, which
is noted in a file, so that whoever starts anew knows as much as who was there before."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from django.conf import settings

from paas.network import address_of
from paas.worker import engine, sleep
from paas.worker.idle import Candidate
from tenants.containers.models import Container

JITTER_SECONDS = 0.5
LOOK_SECONDS = 10.0  # between two looks: nobody knows more exactly than that when something was computed


@dataclass(frozen=True, slots=True)
class Use:
    """The last one: in seconds since the machine's start (time.monotonic), and the cpu counter then."""

    at: float
    cpu_usec: int


def candidates(rows: Iterable[Container], seen: dict[str, Use]) -> list[Candidate]:
    """Of those that run and may sleep. `seen` is brought up to date: who has ended is forgotten, who is new
    was used just now."""
    rows = list(rows)
    if not rows:
        seen.clear()
        return []
    asleep = engine.network().asleep
    packets, now, awaited = asleep.idle_seconds(), time.monotonic(), asleep.awaited()
    answering = {name.rpartition(":")[0] for name in sleep.answering()}  # whatever the port
    known, found = dict(seen), []
    seen.clear()
    for row in rows:
        with suppress(FileNotFoundError):  # it ends
            cpu_usec = engine.runtime().reading(row.tenant_id, row.app_id, row.pk).cpu_usec
            address = _address(row)
            use = since(known.get(row.pk), packets.get(address, math.inf), cpu_usec, now)
            seen[row.pk], idle = use, now - use.at
            cpu = (cpu_usec - use.cpu_usec) / 1_000_000 / max(idle, 1.0)
            asked = str(address) in answering, address in awaited
            found.append(Candidate(row.pk, idle, sleep.after(row), cpu, *asked))
    return found


def since(known: Use | None, idle: float, cpu_usec: int, now: float) -> Use:
    """Pure: the last use, by what was known of it and the seconds since the last packet."""
    if known is None or known.at > now:
        return Use(now, cpu_usec)
    if idle < now - known.at - JITTER_SECONDS:
        return Use(now - min(idle, LOOK_SECONDS), cpu_usec)
    return known


def recall() -> dict[str, Use]:
    """What was noted last; of the time before the machine's last start nothing is."""
    try:
        noted = json.loads(_file().read_text())
    except (FileNotFoundError, ValueError):  # not whole after a crash of the machine
        return {}
    return {pk: Use(*use) for pk, use in noted.items() if use[0] <= time.monotonic()}


def note(seen: dict[str, Use]) -> None:
    new = _file().with_suffix(".new")
    new.write_text(json.dumps({pk: (use.at, use.cpu_usec) for pk, use in seen.items()}))
    new.rename(_file())


def _file() -> Path:
    return settings.PATHS.run / "used.json"


def _address(row: Container) -> IPv4Address:
    assert row.address is not None
    return address_of(settings.CONTAINER_PREFIX, row.address)
