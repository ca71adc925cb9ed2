from __future__ import annotations

from django.conf import settings
from django.db import models

from tenants.accounts.models import Tenant

MACHINE = "machine"


class Report(models.Model):
    """How a tenant's containers are fenced off, or the machine's own processes: the latest look at each.

    A worker looks; that it is looked again is the intent, the rest is what was found.
    """

    class Status(models.TextChoices):
        NEVER = "never", "Not looked at yet"
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.CharField(primary_key=True, max_length=12)  # the tenant's, or MACHINE
    tenant = models.OneToOneField(Tenant, null=True, on_delete=models.CASCADE, related_name="isolation")
    asked_by = models.ForeignKey(  # None: the machine itself
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    asked_at = models.DateTimeField(null=True)
    # --- observed
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.NEVER)
    checked_at = models.DateTimeField(null=True)  # when `answer` was true
    passed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    unavailable = models.PositiveIntegerField(default=0)  # promises that this host cannot keep
    answer = models.JSONField(null=True)  # as paas.worker.isolation makes it
    error = models.JSONField(null=True)  # {"summary", "hint", "details"}: why the last look came to nothing

    def __str__(self) -> str:
        return self.id

    @property
    def is_going(self) -> bool:
        return self.status in GOING


GOING = (Report.Status.QUEUED, Report.Status.RUNNING)
