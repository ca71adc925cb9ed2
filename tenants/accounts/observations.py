"""What is true of a tenant on the host. Only the worker writes here."""

from __future__ import annotations

from django.utils import timezone

from tenants.accounts.in_force import Found
from tenants.accounts.models import Tenant


def quota_applied(tenant: Tenant) -> bool:
    """The host holds the quota that `tenant` was read with; False if another was set meanwhile."""
    return _same_quota(tenant, quota_applied_at=timezone.now(), quota_error="")


def quota_refused(tenant: Tenant, reason: str) -> bool:
    return _same_quota(tenant, quota_applied_at=None, quota_error=reason[:300])


def quota_seen(tenant: Tenant, found: Found) -> bool:
    """What the kernel holds it to now; False if that is known."""
    if tenant.in_force == found:
        return False
    tenant.in_force = found
    return bool(Tenant.objects.filter(pk=tenant.pk).update(in_force=found))


def store_seen(tenant_id: str, used: int) -> None:
    Tenant.objects.filter(pk=tenant_id).exclude(store_used=used).update(store_used=used)


def tenant_gone(tenant: Tenant) -> None:
    """Nothing of it is on the host. Its events stay, and nobody gets its user ids again."""
    Tenant.objects.filter(pk=tenant.pk).delete()


def _same_quota(tenant: Tenant, **columns: object) -> bool:
    same = Tenant.objects.filter(pk=tenant.pk, quota_set_at=tenant.quota_set_at)
    return bool(same.update(**columns))


def egress_applied(tenant: Tenant, *, policy: str, rate: int) -> bool:
    """What the kernel says it holds; False if another policy was set meanwhile."""
    held = {"egress_held": policy, "egress_rate_held": rate}
    return _same_egress(tenant, egress_applied_at=timezone.now(), egress_error="", **held)


def egress_refused(tenant: Tenant, reason: str) -> bool:
    return _same_egress(tenant, egress_applied_at=None, egress_error=reason[:300])


def _same_egress(tenant: Tenant, **columns: object) -> bool:
    same = Tenant.objects.filter(pk=tenant.pk, egress_set_at=tenant.egress_set_at)
    return bool(same.update(**columns))
