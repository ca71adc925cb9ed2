from __future__ import annotations

from django.conf import settings
from django.db import models

from tenants.ids import IdField


class Upkeep(models.Model):
    """Something done to the image store as a whole, asked for by an administrator or by the machine itself."""

    class Kind(models.TextChoices):
        LOOK = "look", "Look what a prune would free"
        PRUNE = "prune", "Prune"
        CHECK = "check", "Check for damage"
        MEND = "mend", "Mend damage"

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = IdField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    created_by = models.ForeignKey(  # None: the machine itself
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # --- observed
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    finished_at = models.DateTimeField(null=True)
    report = models.JSONField(default=dict)  # PruneReport in numbers, or {"damage": […]}
    error = models.JSONField(null=True)  # {"summary", "hint", "details"}

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["status"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


GOING = (Upkeep.Status.QUEUED, Upkeep.Status.RUNNING)


class Size(models.Model):
    """The image store as the worker last saw it: one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    layers = models.PositiveIntegerField(default=0)
    layer_bytes = models.PositiveBigIntegerField(default=0)
    blobs = models.PositiveIntegerField(default=0)
    blob_bytes = models.PositiveBigIntegerField(default=0)
    unshared_bytes = models.PositiveBigIntegerField(default=0)  # if each release had its layers for itself
    seen_at = models.DateTimeField(null=True)


class Use(models.Model):
    """What a tenant, an app or a release has of the store, and how much of that nobody else has."""

    class Kind(models.TextChoices):
        TENANT = "tenant"
        APP = "app"
        RELEASE = "release"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    owner_id = models.CharField(max_length=12)
    bytes = models.PositiveBigIntegerField()
    unique_bytes = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "owner_id"], name="one_use_per_owner")]
