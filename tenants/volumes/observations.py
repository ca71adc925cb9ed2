"""What is true of volumes. Only the worker writes here."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from tenants.apps.models import App
from tenants.volumes.models import Volume


@transaction.atomic
def wanted(app: App, volumes: Iterable[tuple[str, str]]) -> None:
    """A row for each (name, path) of a release that is about to start; its first container makes the folder."""
    for name, path in volumes:
        row, made = Volume.objects.get_or_create(
            app=app, name=name, delete_asked_at=None, defaults={"path": path}
        )
        if not made and row.path != path:
            Volume.objects.filter(pk=row.pk).update(path=path)


def sized(volume: Volume, size: int | None) -> None:
    Volume.objects.filter(pk=volume.pk).update(size_bytes=size, seen_at=timezone.now())


def deleted(volume: Volume) -> None:
    """Its folder is gone."""
    volume.delete()
