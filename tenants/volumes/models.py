from __future__ import annotations

from django.db import models

from tenants.apps.models import App
from tenants.ids import IdField


class Volume(models.Model):
    """A folder on the tenant's disk, named by this row's id, that outlives every container and release.

    A roll-out makes it when [volumes] of berth.toml names it first. Only a person deletes it.
    """

    id = IdField()
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="volumes")
    name = models.CharField(max_length=30)
    delete_asked_at = models.DateTimeField(null=True)  # the row goes when its folder has gone
    created_at = models.DateTimeField(auto_now_add=True)
    # --- observed
    path = models.CharField(max_length=255, blank=True)  # where the last release that has it mounts it
    size_bytes = models.PositiveBigIntegerField(null=True)  # null: not counted yet, or not in time
    seen_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["app", "name"],
                condition=models.Q(delete_asked_at=None),
                name="one_volume_per_name",
            )
        ]

    def __str__(self) -> str:
        return self.name
