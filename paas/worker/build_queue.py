"""Which build comes next: fair among tenants, whoever asked first and however often. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    build_id: str
    tenant_id: str
    since: datetime


def next_build(
    waiting: Iterable[Waiting],
    running: Iterable[str],
    served: Mapping[str, datetime],
    *,
    at_once: Mapping[str, int],
) -> str | None:
    """The id of the build to begin now; None when none waits, or only of tenants that have as many running as
    `at_once` says of them (else one).

    `running`: the tenant of each build that runs. `served`: when a build of a tenant began last. The tenant
    with the fewest builds running comes first, then the one served longest ago, then who waits longest.
    """
    busy = Counter(running)
    free = [item for item in waiting if busy[item.tenant_id] < at_once.get(item.tenant_id, 1)]
    if not free:
        return None

    def rank(item: Waiting) -> tuple[int, float, datetime, str]:
        last = served.get(item.tenant_id)
        return busy[item.tenant_id], last.timestamp() if last else 0.0, item.since, item.build_id

    return min(free, key=rank).build_id
