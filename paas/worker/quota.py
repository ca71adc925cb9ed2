"""A tenant's quota, brought to the host: cgroup limits at once, the disk where the kernel lets it grow."""

from __future__ import annotations

import structlog

from paas.errors import BerthError
from paas.worker import engine
from paas.worker.translate import tenant_spec
from tenants.accounts import observations
from tenants.accounts.models import Tenant

log = structlog.get_logger()


def apply_quota(tenant_id: str) -> None:
    """Idempotent. A tenant that never ran anything gets its quota with its first container."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None:
        return
    try:
        if tenant.containers.exists():
            engine.runtime().prepare_tenant(tenant_spec(tenant))
    except BerthError as error:
        log.warning("quota.refused", tenant=tenant.slug, error=error.summary)
        observations.quota_refused(tenant, error.summary)
        return
    observations.quota_applied(tenant)
