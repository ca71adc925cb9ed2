"""Readings of containers into rows: what each holds now, and the most that its process type ever needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date

from django.db import transaction
from django.utils import timezone

from paas.specs import MIB, Weight
from paas.specs import Reading as Seen
from tenants.containers.models import Container
from tenants.fleet.models import Peak, Reading

KEPT_DAYS = 30
_WEIGHED = ("container", *(field.name for field in fields(Weight)))
_COLUMNS = [field.name for field in Reading._meta.concrete_fields if field.name not in _WEIGHED]


@dataclass(frozen=True, slots=True)
class Taken:
    """Two readings of a container, `seconds` apart; the second alone where there was none before."""

    container: Container
    now: Seen
    before: Seen | None = None
    seconds: float = 0.0


@transaction.atomic
def keep(taken: Sequence[Taken]) -> None:
    rows = [_row(one) for one in taken]
    Reading.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["container"], update_fields=_COLUMNS
    )
    _keep_peaks(taken, timezone.now().date())


def weighed(container_id: str, found: Weight) -> None:
    Reading.objects.filter(pk=container_id).update(**asdict(found))


def forget_ended() -> int:
    """Rows of containers that have ended are no use."""
    return Reading.objects.filter(container__status=Container.Status.STOPPED).delete()[0]


def _row(one: Taken) -> Reading:
    now, before, stalls = one.now, one.before, _stalls(one)
    return Reading(
        container=one.container,
        anonymous=now.anonymous,
        file=now.file,
        mapped=now.mapped,
        shared_memory=now.shared_memory,
        swap=now.swap,
        throttled=_share(now.throttled_usec, before.throttled_usec if before else None, one.seconds),
        stalled_cpu=stalls[0],
        stalled_memory=stalls[1],
        stalled_io=stalls[2],
        io_rate=_io_rate(one),
        read_at=timezone.now(),
    )


def _stalls(one: Taken) -> tuple[int | None, ...]:
    before = one.before.stalled_usec if one.before else (None, None, None)
    pairs = zip(one.now.stalled_usec, before, strict=True)
    return tuple(None if now is None else _share(now, then, one.seconds) for now, then in pairs)


def _io_rate(one: Taken) -> int | None:
    if one.now.io_bytes is None:
        return None
    return _rate(one.now.io_bytes, one.before.io_bytes if one.before else None, one.seconds)


def _share(now: int, before: int | None, seconds: float) -> int:
    """Thousandths of the time; a counter that began anew counts for nothing."""
    return min(1000, _rate(now, before, seconds) // 1000)


def _rate(now: int, before: int | None, seconds: float) -> int:
    return 0 if before is None or seconds <= 0 else max(0, round((now - before) / seconds))


def _keep_peaks(taken: Iterable[Taken], today: date) -> None:
    needed: dict[tuple[str, str], int] = {}
    for one in taken:
        if one.container.kind == Container.Kind.PROCESS:
            key = one.container.app_id, one.container.process_type
            needed[key] = max(needed.get(key, 0), one.now.working_set + one.now.swap)
    apps = {app for app, _ in needed}
    known = {(row.app_id, row.process_type): row for row in Peak.objects.filter(app__in=apps)}
    for key, most in needed.items():
        row = known.get(key) or Peak(app_id=key[0], process_type=key[1])
        days = with_day(row.days, today, most)
        if days != row.days:
            row.days = days
            row.save()


def with_day(days: dict[str, int], today: date, most: int) -> dict[str, int]:
    """Pure. A new day begins with what it needs; less than 1 MiB more is not worth a write."""
    name = today.isoformat()
    if most < days.get(name, -MIB) + MIB:
        return days
    return dict(sorted({**days, name: most}.items())[-KEPT_DAYS:])
