"""What the agent sees of the machine, and of its tenants' traffic."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from paas.specs import Traffic as Reading
from tenants.fleet.models import Machine, Traffic


def machine_sampled(
    *,
    cores: int,
    memory_bytes: int,
    memory_available_bytes: int,
    cpu_millis: int,
    disk_bytes: int,
    disk_free_bytes: int,
    swap_bytes: int,
    swap_free_bytes: int,
    stalled: tuple[int | None, int | None, int | None] = (None, None, None),
) -> None:
    """`stalled`: see Machine, in the order of its columns."""
    Machine.objects.update_or_create(
        id=1,
        defaults={
            "cores": cores,
            "memory_bytes": memory_bytes,
            "memory_available_bytes": memory_available_bytes,
            "cpu_millis": cpu_millis,
            "disk_bytes": disk_bytes,
            "disk_free_bytes": disk_free_bytes,
            "swap_bytes": swap_bytes,
            "swap_free_bytes": swap_free_bytes,
            **dict(zip(("stalled_cpu", "stalled_memory", "stalled_io"), stalled, strict=True)),
            "sampled_at": timezone.now(),
        },
    )


@transaction.atomic
def traffic_counted(readings: Mapping[str, Reading]) -> None:
    """Add to each tenant's row, by its id, what the kernel has counted since the last reading. One of which
    nothing was counted is as of now as well."""
    rows = {row.pk: row for row in Traffic.objects.select_for_update(no_key=True).filter(pk__in=readings)}
    at, same = timezone.now(), []
    for tenant_id, reading in readings.items():
        row = rows.get(tenant_id) or Traffic(tenant_id=tenant_id)
        now = _columns(reading)
        if now == row.seen:
            same.append(tenant_id)
            continue
        for name, count in now.items():
            before = row.seen.get(name, 0)
            # Less than before: the rules were made again, and it began at nothing.
            setattr(row, name, getattr(row, name) + (count - before if count >= before else count))
        row.seen, row.counted_at = now, at
        row.save()
    if same:
        Traffic.objects.filter(pk__in=same).update(counted_at=at)


def _columns(reading: Reading) -> dict[str, int]:
    return {
        "sent_packets": reading.sent[0],
        "sent_bytes": reading.sent[1],
        "received_packets": reading.received[0],
        "received_bytes": reading.received[1],
        **{f"refused_{reason}": packets for reason, packets in reading.refused},
    }
