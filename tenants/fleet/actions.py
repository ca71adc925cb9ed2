"""What administrators do to tenants as a whole."""

from __future__ import annotations

from dataclasses import asdict

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from paas.errors import BadInput, NotFound
from paas.queue import wake
from tenants.accounts.access import admin
from tenants.accounts.egress import Rules, check_list, check_rate
from tenants.accounts.models import Egress, Tenant, User
from tenants.apps.actions import destroy_app
from tenants.audit.actions import record
from tenants.checks import bad_field
from tenants.fleet.models import Machine
from tenants.fleet.quota import Changes, Quota, check_quota


@transaction.atomic
def set_quota(*, actor: User, tenant: Tenant, changes: Changes) -> bool:
    """What `changes` names; False if it was that already. The worker brings the host to it; what runs goes on
    running."""
    admin(actor)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    before = Quota.of(tenant)
    quota = before.with_changes(changes)
    if quota == before and not tenant.quota_error:
        return False
    check_quota(tenant, quota, Machine.objects.first())
    now = timezone.now()
    Tenant.objects.filter(pk=tenant.pk).update(
        **asdict(quota), quota_set_at=now, quota_applied_at=None, quota_error=""
    )
    told = quota.changes_from(before)
    record("tenant.quota", actor=actor, tenant_id=tenant.pk, slug=tenant.slug, changes=told)
    wake("quota", tenant.pk)
    return True


@transaction.atomic
def set_egress(*, actor: User, tenant: Tenant, rules: Rules) -> bool:
    """False if it was that already. The worker brings the kernel to it, for what is under way as well."""
    admin(actor)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    listed = check_list(rules.egress_list, operator_allows=settings.EGRESS_ALLOW, own=settings.OWN_NETWORKS)
    check_rate(rules.egress_rate)
    if rules.egress == Egress.LIST and not listed:
        raise bad_field("listed", "nothing is listed", hint="Name a network, or choose None.")
    rules, before = Rules(rules.egress, listed, rules.egress_rate), Rules.of(tenant)
    if rules == before and not tenant.egress_error:
        return False
    Tenant.objects.filter(pk=tenant.pk).update(
        **rules.columns(), egress_set_at=timezone.now(), egress_applied_at=None, egress_error=""
    )
    record(
        "tenant.egress",
        actor=actor,
        tenant_id=tenant.pk,
        slug=tenant.slug,
        before=before.columns(),
        now=rules.columns(),
    )
    wake("egress", tenant.pk)
    return True


@transaction.atomic
def destroy_tenant(*, actor: User, tenant: Tenant, confirm: str) -> None:
    """Asks for it, with all of its apps, volumes and images. Its members are let out at once, its sign-ins at
    registries and its disk go with the last app; what was recorded of it stays."""
    admin(actor)
    if confirm != tenant.slug:
        raise BadInput(
            f"{confirm[:40]!r} is not the tenant's short name, so nothing was destroyed",
            hint=f"Type {tenant.slug} to confirm.",
            details={"field": "confirm"},
        )
    waiting = Tenant.objects.filter(pk=tenant.pk, destroyed_at=None)
    if not waiting.update(destroyed_at=timezone.now()):
        raise NotFound(f"{tenant} is being destroyed already")
    tenant.members.all().delete()
    apps = list(tenant.apps.filter(destroyed_at=None))
    for app in apps:
        destroy_app(actor=actor, app=app, confirm=app.name)
    record(
        "tenant.destroy", actor=actor, tenant_id=tenant.pk, slug=tenant.slug, apps=[app.name for app in apps]
    )
    wake("tenant", tenant.pk)
