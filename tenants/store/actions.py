"""What administrators ask of the image store. The worker does it and says in the row what came of it."""

from __future__ import annotations

from django.db import transaction

from paas.errors import Conflict
from paas.queue import wake
from tenants.accounts.access import admin
from tenants.accounts.models import User
from tenants.audit.actions import record
from tenants.checks import bad_field
from tenants.store.models import GOING, Upkeep


@transaction.atomic
def ask(*, actor: User, kind: str) -> Upkeep:
    """Conflict while the same is under way."""
    admin(actor)
    if kind not in Upkeep.Kind.values:
        raise bad_field("kind", f"{kind[:40]!r} is nothing that can be asked of the image store")
    return _ask(actor, Upkeep.Kind(kind))


@transaction.atomic
def ask_by_itself() -> Upkeep | None:
    """A prune that nobody asked for: the disk is filling up. None while one is under way."""
    try:
        return _ask(None, Upkeep.Kind.PRUNE)
    except Conflict:
        return None


def _ask(actor: User | None, kind: Upkeep.Kind) -> Upkeep:
    if Upkeep.objects.filter(kind=kind, status__in=GOING).exists():
        raise Conflict("that is under way already", hint="Look again in a moment.")
    made = Upkeep.objects.create(kind=kind, created_by=actor)
    record(f"store.{kind.value}", actor=actor, upkeep=made.pk)
    wake("upkeep", made.pk)
    return made
