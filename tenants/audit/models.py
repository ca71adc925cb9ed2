from __future__ import annotations

from django.conf import settings
from django.db import models


class Event(models.Model):
    """Who did what to what, written in the same transaction as the thing itself; append-only."""

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    tenant_id = models.CharField(max_length=12, blank=True)
    app_id = models.CharField(max_length=12, blank=True)
    verb = models.CharField(max_length=60)  # "app.create", "release.rollback", …
    detail = models.JSONField(default=dict)  # names and numbers; never a secret

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["tenant_id", "-id"]), models.Index(fields=["app_id", "-id"])]

    def __str__(self) -> str:
        return f"{self.verb} {self.app_id or self.tenant_id}"
