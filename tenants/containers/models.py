from __future__ import annotations

from django.db import models

from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.ids import IdField
from tenants.releases.models import Build, Release


class Container(models.Model):
    """One life of one container. A restart makes a new row; the old one keeps its exit."""

    class Kind(models.TextChoices):
        PROCESS = "process"
        BUILD = "build"  # a build's step
        COMMAND = "command"  # a release or one-off command

    class Status(models.TextChoices):
        CREATING = "creating"
        CREATED = "created"
        RUNNING = "running"
        STOPPED = "stopped"
        SLEEPING = "sleeping"

    id = IdField()
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="containers")
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="containers")
    release = models.ForeignKey(Release, null=True, on_delete=models.CASCADE, related_name="containers")
    build = models.ForeignKey(Build, null=True, on_delete=models.CASCADE, related_name="containers")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    process_type = models.CharField(max_length=40, blank=True)
    index = models.PositiveSmallIntegerField(default=1)  # web.1, web.2
    # Offset into the container prefix while the host has it; null once given back.
    address = models.PositiveIntegerField(null=True, unique=True)
    memory_limit = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    # --- observed
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.CREATING)
    ready = models.BooleanField(default=False)  # passed its readiness check
    started_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    exit_code = models.SmallIntegerField(null=True)
    exit_signal = models.SmallIntegerField(null=True)
    oom_killed = models.BooleanField(default=False)
    # Of its processes, for want of memory, while it goes on; and when the last was noticed.
    oom_kills = models.PositiveIntegerField(default=0)
    oom_killed_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=200, blank=True)  # why it was stopped or could not start
    memory_bytes = models.PositiveBigIntegerField(default=0)
    cpu_millis = models.PositiveIntegerField(default=0)  # over the last sample
    pids = models.PositiveIntegerField(default=0)
    sampled_at = models.DateTimeField(null=True)
    limits = models.JSONField(default=dict)  # as read from its cgroup: see paas.specs.Effective
    # While it sleeps, since when, and the bytes of memory that it would take if it had never slept.
    slept_at = models.DateTimeField(null=True)
    awake_bytes = models.PositiveBigIntegerField(default=0)
    woken_at = models.DateTimeField(null=True)  # the last time
    wakes = models.PositiveIntegerField(default=0)
    wake_usec = models.PositiveIntegerField(default=0)  # from the call until it ran, the last time
    log_dropped_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["process_type", "index", "-created_at"]
        indexes = [
            models.Index(fields=["app", "status"]),
            models.Index(fields=["status", "address"]),  # what lives, and what is still on the host
            models.Index(fields=["stopped_at"]),  # what ended a moment ago
        ]

    def __str__(self) -> str:
        return f"{self.process_type or self.kind}.{self.index}"

    @property
    def saved_bytes(self) -> int:
        """What it takes less of memory while it sleeps."""
        return max(0, self.awake_bytes - self.memory_bytes) if self.slept_at else 0

    @property
    def memory_asked(self) -> int | None:
        """The limit that its release asks for."""
        processes = self.release.processes if self.release else []
        asked = (p["memory_bytes"] for p in processes if p["name"] == self.process_type and "memory_bytes" in p)
        return next(asked, None)


class ServiceAddress(models.Model):
    """Where a process type of an app is reached by name, for as long as the app has it: web of api as
    api.internal, another one as worker.api.internal."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="service_addresses")
    process_type = models.CharField(max_length=40)
    # Offset into the container prefix, in the last quarter of it.
    address = models.PositiveIntegerField(unique=True)

    class Meta:
        ordering = ["app__name", "process_type"]
        constraints = [models.UniqueConstraint(fields=["app", "process_type"], name="one_address_per_service")]

    @property
    def names(self) -> tuple[str, ...]:
        own = f"{self.process_type.lower()}.{self.app.internal_name}"
        return (self.app.internal_name, own) if self.process_type == "web" else (own,)
