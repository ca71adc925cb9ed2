from __future__ import annotations

from django.db import models

from paas.specs import REFUSALS
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.containers.models import Container


class Machine(models.Model):
    """This machine as last seen by the agent: one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    cores = models.PositiveSmallIntegerField(default=0)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    memory_available_bytes = models.PositiveBigIntegerField(default=0)
    cpu_millis = models.PositiveIntegerField(default=0)  # busy, all cores
    disk_bytes = models.PositiveBigIntegerField(default=0)
    disk_free_bytes = models.PositiveBigIntegerField(default=0)
    swap_bytes = models.PositiveBigIntegerField(null=True)  # null: not looked at yet
    swap_free_bytes = models.PositiveBigIntegerField(default=0)
    # Thousandths of the last minute in which some process waited for it; null: the kernel does not tell.
    stalled_cpu = models.PositiveSmallIntegerField(null=True)
    stalled_memory = models.PositiveSmallIntegerField(null=True)
    stalled_io = models.PositiveSmallIntegerField(null=True)
    sampled_at = models.DateTimeField(null=True)


class Traffic(models.Model):
    """What a tenant's containers sent out of the machine and received, from its beginning on."""

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, primary_key=True, related_name="traffic")
    sent_bytes = models.PositiveBigIntegerField(default=0)
    sent_packets = models.PositiveBigIntegerField(default=0)
    received_bytes = models.PositiveBigIntegerField(default=0)
    received_packets = models.PositiveBigIntegerField(default=0)
    # Packets that went nowhere, by reason (paas.specs.REFUSALS).
    refused_closed = models.PositiveBigIntegerField(default=0)
    refused_policy = models.PositiveBigIntegerField(default=0)
    refused_rate = models.PositiveBigIntegerField(default=0)
    refused_connections = models.PositiveBigIntegerField(default=0)
    seen = models.JSONField(default=dict)  # the kernel's counters at the last look, which may begin anew
    counted_at = models.DateTimeField(null=True)  # the last look, after which more may have been sent

    @property
    def refused(self) -> dict[str, int]:
        return {reason: getattr(self, f"refused_{reason}") for reason in REFUSALS}


class Reading(models.Model):
    """What a container held when it was last read, in bytes (paas.specs.Reading): the density ledger's."""

    container = models.OneToOneField(
        Container, on_delete=models.CASCADE, primary_key=True, related_name="reading"
    )
    anonymous = models.PositiveBigIntegerField(default=0)
    file = models.PositiveBigIntegerField(default=0)
    mapped = models.PositiveBigIntegerField(default=0)
    shared_memory = models.PositiveBigIntegerField(default=0)
    swap = models.PositiveBigIntegerField(default=0)
    # Of its processes' memory, by smaps_rollup (paas.specs.Weight). Null: not yet.
    unshared = models.PositiveBigIntegerField(null=True)
    shared = models.PositiveBigIntegerField(null=True)
    files_used = models.PositiveBigIntegerField(null=True)
    files_part = models.PositiveBigIntegerField(null=True)
    # Thousandths of the time since the reading before.
    throttled = models.PositiveSmallIntegerField(default=0)  # stopped by its own cpu limit
    stalled_cpu = models.PositiveSmallIntegerField(null=True)  # null: cgroup v1 does not tell
    stalled_memory = models.PositiveSmallIntegerField(null=True)
    stalled_io = models.PositiveSmallIntegerField(null=True)
    # Bytes a second, read and written; null where a container has no count of its own.
    io_rate = models.PositiveBigIntegerField(null=True, default=0)
    read_at = models.DateTimeField()


class Peak(models.Model):
    """The most memory that one container of a process type was seen to need, by day, over the last weeks."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="peaks")
    process_type = models.CharField(max_length=40)
    days = models.JSONField(default=dict)  # "2026-11-27" -> bytes

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["app", "process_type"], name="one_peak_per_process_type")
        ]

    @property
    def bytes(self) -> int:
        return max(self.days.values(), default=0)
