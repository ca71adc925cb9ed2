from __future__ import annotations

from django.db import models


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
