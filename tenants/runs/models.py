from __future__ import annotations

import shlex

from django.conf import settings
from django.db import models

from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.ids import IdField
from tenants.releases.models import Release
from tenants.secret_fields import EncryptedJSONField


class Run(models.Model):
    """A command that a person runs once, in a container of its own beside the app's. Never run twice."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        EXITED = "exited"  # by itself; exit_code says how
        FAILED = "failed"  # did not start, or was lost with its host; error says why
        CANCELLED = "cancelled"
        TIMED_OUT = "timed-out", "Timed out"

    id = IdField()
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="runs")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="runs")
    # Arguments, or one line for the container's shell. People put passwords into commands: encrypted.
    command = EncryptedJSONField()
    time_limit = models.PositiveIntegerField()  # seconds
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    cancel_asked_at = models.DateTimeField(null=True)
    # --- observed
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    container = models.OneToOneField(Container, null=True, on_delete=models.SET_NULL, related_name="run")
    started_at = models.DateTimeField(null=True)
    # By the host's CLOCK_BOOTTIME, in seconds: no jump of the wall clock ends a command.
    deadline = models.FloatField(null=True)
    finished_at = models.DateTimeField(null=True)
    exit_code = models.SmallIntegerField(null=True)  # 128 + n when signal n ended it, as a shell has it
    reason = models.CharField(max_length=200, blank=True)  # how it ended, in words
    error = models.JSONField(null=True)  # {"summary", "hint", "details"}

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["app", "-created_at"]), models.Index(fields=["status"])]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def shown(self) -> str:
        """The command as a person would type it. For members of the tenant only."""
        return self.command if isinstance(self.command, str) else shlex.join(self.command)

    @property
    def output_dropped(self) -> int:
        """Bytes of its log that came faster than they are kept."""
        return self.container.log_dropped_bytes if self.container else 0


GOING = (Run.Status.QUEUED, Run.Status.RUNNING)
