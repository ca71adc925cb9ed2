"""What administrators do to tenants as a whole."""

from __future__ import annotations

from dataclasses import asdict

from django.db import transaction
from django.utils import timezone

from paas.queue import wake
from tenants.accounts.access import admin
from tenants.accounts.models import Tenant, User
from tenants.audit.actions import record
from tenants.fleet.models import Machine
from tenants.fleet.quota import Quota, check_quota


@transaction.atomic
def set_quota(*, actor: User, tenant: Tenant, quota: Quota) -> bool:
    """False if it was that already. The worker brings the host to it; what runs goes on running."""
    admin(actor)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    changes = quota.changes_from(Quota.of(tenant))
    if not changes and not tenant.quota_error:
        return False
    check_quota(tenant, quota, Machine.objects.first())
    now = timezone.now()
    Tenant.objects.filter(pk=tenant.pk).update(
        **asdict(quota), quota_set_at=now, quota_applied_at=None, quota_error=""
    )
    record("tenant.quota", actor=actor, tenant_id=tenant.pk, slug=tenant.slug, changes=changes)
    wake("quota", tenant.pk)
    return True
