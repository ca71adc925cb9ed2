from __future__ import annotations

from django.db import models

from paas.specs import REFUSALS
from tenants.accounts.models import Tenant


class Machine(models.Model):
    """This machine as last seen by the agent: one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    cores = models.PositiveSmallIntegerField(default=0)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    memory_available_bytes = models.PositiveBigIntegerField(default=0)
    cpu_millis = models.PositiveIntegerField(default=0)  # busy, all cores
    disk_bytes = models.PositiveBigIntegerField(default=0)
    disk_free_bytes = models.PositiveBigIntegerField(default=0)
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
    counted_at = models.DateTimeField(null=True)

    @property
    def refused(self) -> dict[str, int]:
        return {reason: getattr(self, f"refused_{reason}") for reason in REFUSALS}
