"""How many containers a tenant may have at once: what its apps are to run, looked at before anything starts."""

from __future__ import annotations

from paas.errors import Refused
from tenants.accounts.models import Tenant
from tenants.apps.models import App
from tenants.releases.models import Release
from tenants.releases.serial import processes


def wanted(tenant: Tenant, *, without: App | None = None) -> int:
    """Processes that its apps' serving releases are to run, less those of one app."""
    apps = App.objects.filter(tenant=tenant, destroyed_at=None).exclude(serving_release_id="")
    if without is not None:
        apps = apps.exclude(pk=without.pk)
    serving = Release.objects.filter(pk__in=apps.values("serving_release_id")).only("processes")
    return sum(process.count for release in serving for process in processes(release))


def demand_room(tenant: Tenant, more: int, beside: int, *, what: str, hint: str) -> None:
    """Refused when `more` containers beside those that there are (or are to be) pass the quota."""
    most = tenant.containers_at_once
    if more and beside + more > most:
        raise Refused(
            f"cannot {what}: {tenant} has {beside} containers beside {'it' if more == 1 else 'them'}, "
            f"and may have {most} at once",
            hint=f"{hint}, or ask an administrator for a higher quota",
            details={"most": most, "wanted": beside + more},
        )


def check_formation_fits(app: App, count: int) -> None:
    """For a release that is to run `count` processes, in the place of those that the app has now."""
    demand_room(
        app.tenant,
        count,
        wanted(app.tenant, without=app),
        what=f"run {count} container{'' if count == 1 else 's'} of {app.name}",
        hint="scale it, or another app of the tenant, to fewer",
    )
