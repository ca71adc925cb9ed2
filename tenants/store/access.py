from __future__ import annotations

from paas.errors import NotFound
from tenants.accounts.access import Person, admin
from tenants.store.models import Upkeep


def upkeep_for(user: Person, upkeep_id: str) -> Upkeep:
    """For administrators only, as all of the store."""
    admin(user)
    found = Upkeep.objects.select_related("created_by").filter(pk=upkeep_id).first()
    if found is None:
        raise NotFound(f"nothing called {upkeep_id[:40]!r} was done to the store", hint="Look at its history.")
    return found
