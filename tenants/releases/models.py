from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from tenants.apps.models import App
from tenants.ids import IdField
from tenants.secret_fields import EncryptedJSONField

LONGEST_NAME = 200  # characters of what a source is called


class Source(models.Model):
    """An uploaded archive, kept at PATHS.sources/<id>. Never changed after it is written."""

    class Kind(models.TextChoices):
        TAR = "tar"
        TAR_GZ = "tar.gz"
        ZIP = "zip"
        IMAGE = "image"  # nothing at PATHS.sources: `name` is its name in a registry

    id = IdField()
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="sources")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    # As the person called it: shown, never used as a path.
    name = models.CharField(max_length=LONGEST_NAME, blank=True)
    digest = models.CharField(max_length=71)  # "sha256:…" of the archive
    size = models.PositiveBigIntegerField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)


class Build(models.Model):
    """Source -> image. Claimed by a worker through a conditional update of `status`."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = IdField()
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="builds")
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="builds")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    cancel_asked_at = models.DateTimeField(null=True)
    # --- observed
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    claim = models.CharField(max_length=12, blank=True)  # of the worker process that builds it
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    builder = models.CharField(max_length=20, blank=True)
    builder_version = models.CharField(max_length=40, blank=True)  # of Berth
    base = models.CharField(max_length=71, blank=True)  # "sha256:…" of the image that it stands on
    steps_total = models.PositiveSmallIntegerField(default=0)
    steps_cached = models.PositiveSmallIntegerField(default=0)
    # What a later build of the same source may be answered by: see releases.unchanged. "" is by none.
    key = models.CharField(max_length=64, blank=True)
    bases = models.JSONField(null=True)  # [[name, digest]] of the images it is made from; null is not known
    recipe = models.JSONField(null=True)  # Recipe, for its provenance; null is not known
    # The version of the release that this one is the same as: nothing was built for it.
    unchanged_since = models.PositiveIntegerField(null=True)
    error = models.JSONField(null=True)  # {"summary", "hint", "details"}

    class Meta:
        ordering = ["-created_at"]


class Release(models.Model):
    """Image + config + formation, numbered v1, v2, …: append-only. Rolling back makes a new one."""

    class Cause(models.TextChoices):
        DEPLOY = "deploy", "Deploy"
        ROLLBACK = "rollback", "Rollback"
        CONFIG = "config", "Config change"
        RESTART = "restart", "Restart"
        SCALE = "scale", "Scale"
        COMMIT = "commit", "Commit"

    class Status(models.TextChoices):
        PENDING = "pending"  # waits for its turn
        STARTING = "starting"  # its containers start, the one before still serves
        LIVE = "live"  # serves
        FAILED = "failed"  # did not become ready; the one before still serves
        SUPERSEDED = "superseded"  # a later one came before it was live
        RETIRED = "retired"  # served once

    id = IdField()
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="releases")
    version = models.PositiveIntegerField()
    cause = models.CharField(max_length=10, choices=Cause.choices)
    note = models.CharField(max_length=200, blank=True)  # "Roll back to v3", "Set DEBUG, PORT"
    build = models.ForeignKey(Build, null=True, on_delete=models.SET_NULL, related_name="releases")
    image = models.JSONField()  # ImageSpec, see paas.worker.translate
    # The container whose changes this image gets as a layer, until it has them.
    committed_from = models.CharField(max_length=12, blank=True)
    commit = models.CharField(max_length=100, blank=True)  # "web.1 of v3", whose changes these are
    processes = models.JSONField()  # [ProcessSpec], counts as released
    health = models.JSONField()  # HealthCheck
    release_command = models.JSONField(default=list)
    volumes = models.JSONField(default=list)  # [[name, path]] that its containers mount
    config = EncryptedJSONField()  # env defaults of berth.toml overlaid with config vars, as released
    # A rollback's, and of what is based on it meanwhile: once live, the app's config vars become its own.
    brings_config = models.BooleanField(default=False)
    defaults = models.JSONField(default=dict)  # env defaults of berth.toml alone, for the next config change
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # --- observed
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    live_at = models.DateTimeField(null=True)
    error = models.JSONField(null=True)
    image_gone = models.BooleanField(default=False)  # from this machine: pruned, or damaged beyond mending

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["app", "version"], name="one_release_per_version")]

    def __str__(self) -> str:
        return f"v{self.version}"

    @property
    def committed(self) -> str:
        """Whose changes its image holds beside what was built or pulled; empty if it holds none."""
        return "" if self.committed_from else self.commit
