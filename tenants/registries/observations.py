"""What is true of pushes. Only the worker writes here."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from paas.live import changed
from tenants.apps.models import App
from tenants.registries.models import Push


@transaction.atomic
def claim(push_id: str) -> Push | None:
    """queued -> running, for one worker only."""
    wanted = Exists(App.objects.filter(pk=OuterRef("app_id"), destroyed_at=None))
    queued = Push.objects.filter(wanted, pk=push_id, status=Push.Status.QUEUED)
    if not queued.update(status=Push.Status.RUNNING, attempts=F("attempts") + 1):
        return None
    push = Push.objects.select_related("app__tenant", "release").get(pk=push_id)
    changed(push.app.tenant_id, push.app_id, "push")
    return push


def interrupted(push: Push) -> bool:
    """running -> queued: its worker died. Pushing again changes nothing that is there."""
    running = Push.objects.filter(pk=push.pk, status=Push.Status.RUNNING)
    if not running.update(status=Push.Status.QUEUED):
        return False
    changed(push.app.tenant_id, push.app_id, "push")
    return True


def done(push: Push, digest: str) -> None:
    _end(push, status=Push.Status.DONE, digest=digest)


def failed(push: Push, error: dict[str, Any]) -> None:
    _end(push, status=Push.Status.FAILED, error=error)


def _end(push: Push, **columns: Any) -> None:
    Push.objects.filter(pk=push.pk).update(finished_at=timezone.now(), **columns)
    changed(push.app.tenant_id, push.app_id, "push")
