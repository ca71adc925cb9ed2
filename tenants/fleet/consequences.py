"""What a quota means for what is there already: to be told when it is set, and no reason to refuse it."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import F

from paas.templatetags.berth import size
from tenants.accounts.in_force import lines
from tenants.accounts.models import Tenant
from tenants.releases import limits
from tenants.releases.models import Release

_BELOW = {
    "pids": "it has {used:,} processes now; they go on, and none more starts while there are {asked:,} or more",
    "containers": "it has {used:,} containers now; they go on, and to start more than {asked:,} is refused",
    "builds": "{used:,} of its builds run now; they go on, and others wait until fewer than {asked:,} do",
}


def notes(tenant: Tenant) -> list[str]:
    """Each as an error's summary is: in lower case, without a full stop."""
    return [*_below_use(tenant), *_above_quota(tenant)]


def _below_use(tenant: Tenant) -> Iterator[str]:
    for line in lines(tenant):
        if line.name in _BELOW and (line.used or 0) > (line.asked or 0):
            yield _BELOW[line.name].format(used=line.used, asked=line.asked)
    if tenant.store_used > tenant.store_bytes:
        kept = f"it keeps {size(tenant.store_used)} of images, sources and logs now"
        yield f"{kept}: builds, pulls and uploads are refused until that is less"


def _above_quota(tenant: Tenant) -> Iterator[str]:
    """What serves goes on; the worker refuses to start a process that may use more than its whole tenant."""
    rows = Release.objects.filter(app__tenant=tenant, app__destroyed_at=None, pk=F("app__serving_release_id"))
    quota = size(tenant.memory_bytes)
    for release in rows.select_related("app").only("processes", "app__name", "app__limits"):
        for process in limits.in_force(release.app, release):
            if process.count and process.memory_bytes > tenant.memory_bytes:
                own = f"{release.app.name}'s {process.name} has a memory limit of {size(process.memory_bytes)}"
                yield f"{own}, above the quota of {quota}: its next start is refused"
