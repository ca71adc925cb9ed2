from __future__ import annotations

from django.conf import settings
from django.db import models

from tenants.apps.models import App
from tenants.containers.models import Container
from tenants.ids import IdField
from tenants.releases.models import Release


class Inspection(models.Model):
    """A question about the inside of images or of a container. A worker answers: pages cannot read them."""

    class Kind(models.TextChoices):
        IMAGE = "image"  # what is in the image of `release`
        LAYER = "layer"  # the files of one layer of it
        RELEASES = "releases"  # how `release` differs from `before`
        BASE = "base"  # how the image of `release` differs from the one that it stands on
        CONTAINER = "container"  # what `container` changed since it started

    class Status(models.TextChoices):
        QUEUED = "queued"
        ANSWERED = "answered"
        FAILED = "failed"

    id = IdField()
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="inspections")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    release = models.ForeignKey(Release, null=True, on_delete=models.CASCADE, related_name="+")
    before = models.ForeignKey(Release, null=True, on_delete=models.CASCADE, related_name="+")
    container = models.ForeignKey(Container, null=True, on_delete=models.CASCADE, related_name="+")
    layer = models.CharField(max_length=71, blank=True)  # a DiffID
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # --- observed
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    answered_at = models.DateTimeField(null=True)
    answer = models.JSONField(null=True)  # its shape is that of tenants.inspections.answers for its kind
    error = models.JSONField(null=True)  # {"summary", "hint", "details"}

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["app", "kind", "-created_at"]), models.Index(fields=["status"])]

    def __str__(self) -> str:
        return str(self.pk)
