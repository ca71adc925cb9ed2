from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models

from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.ids import IdField
from tenants.releases.models import Release
from tenants.secret_fields import EncryptedTextField


class Login(models.Model):
    """A name and a password of a tenant's at a registry."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="registry_logins")
    host = models.CharField(max_length=255)
    username = models.CharField(max_length=200)
    password = EncryptedTextField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["host"]
        constraints = [models.UniqueConstraint(fields=["tenant", "host"], name="one_login_per_registry")]


class Push(models.Model):
    """A release's image on its way to a registry."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = IdField()
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="pushes")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="pushes")
    reference = models.CharField(max_length=300)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    cancel_asked_at = models.DateTimeField(null=True)
    # --- observed
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=71, blank=True)  # of the manifest as the registry has it
    error = models.JSONField(null=True)  # {"summary", "hint", "details"}

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["status"])]

    def __str__(self) -> str:
        return str(self.pk)


class Export(models.Model):
    """A release's image as a file to download, at PATHS.exports/<id>, for KEPT from when it was written."""

    id = IdField()
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="exports")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="exports")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    cancel_asked_at = models.DateTimeField(null=True)
    # --- observed
    status = models.CharField(max_length=10, choices=Push.Status.choices, default=Push.Status.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    size = models.PositiveBigIntegerField(default=0)  # of the file
    error = models.JSONField(null=True)  # {"summary", "hint", "details"}

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["status"])]

    def __str__(self) -> str:
        return str(self.pk)


GOING = (Push.Status.QUEUED, Push.Status.RUNNING)
KEPT = timedelta(hours=1)  # an export
