"""What the agent sees of the machine."""

from __future__ import annotations

from django.utils import timezone

from tenants.fleet.models import Machine


def machine_sampled(
    *,
    cores: int,
    memory_bytes: int,
    memory_available_bytes: int,
    cpu_millis: int,
    disk_bytes: int,
    disk_free_bytes: int,
) -> None:
    Machine.objects.update_or_create(
        id=1,
        defaults={
            "cores": cores,
            "memory_bytes": memory_bytes,
            "memory_available_bytes": memory_available_bytes,
            "cpu_millis": cpu_millis,
            "disk_bytes": disk_bytes,
            "disk_free_bytes": disk_free_bytes,
            "sampled_at": timezone.now(),
        },
    )
