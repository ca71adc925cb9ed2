from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema

from tenants.accounts.access import memberships, tenant_for
from tenants.accounts.in_force import lines
from tenants.accounts.models import Tenant
from tenants.accounts.tokens import person
from tenants.schemas import ERRORS

router = Router(tags=["you"])


class MembershipOut(Schema):
    tenant: str
    name: str
    role: str


class MeOut(Schema):
    email: str
    name: str
    is_admin: bool
    tenants: list[MembershipOut]


class LimitOut(Schema):
    """`asked` and `effective` are null for no limit. Units: bytes, thousandths of a core (cpu), numbers;
    idle seconds are 0 for never, and `asked` is null where the machine's setting holds."""

    name: str
    unit: str
    asked: int | None
    effective: int | None
    used: int | None
    known: bool  # false: nothing of the tenant has been on the machine yet
    why: str


class QuotaOut(Schema):
    """`error`: why the host does not hold what was set last."""

    tenant: str
    applied: bool
    error: str
    limits: list[LimitOut]

    @staticmethod
    def of(tenant: Tenant) -> QuotaOut:
        limits = [
            LimitOut(**{name: getattr(line, name) for name in LimitOut.model_fields}) for line in lines(tenant)
        ]
        applied = tenant.quota_set_at is None or tenant.quota_applied_at is not None
        return QuotaOut(tenant=tenant.slug, applied=applied, error=tenant.quota_error, limits=limits)


@router.get(
    "/tenants/{tenant}/quota",
    response={200: QuotaOut, **ERRORS},
    summary="What was set for a tenant, and what the kernel holds it to",
)
def quota(request: HttpRequest, tenant: str) -> object:
    return QuotaOut.of(tenant_for(person(request), tenant))


@router.get("/me", response={200: MeOut, **ERRORS}, summary="Who the token belongs to, and their tenants")
def me(request: HttpRequest) -> MeOut:
    user = person(request)
    members = memberships(user).select_related("tenant").order_by("tenant__slug")
    tenants = [MembershipOut(tenant=m.tenant.slug, name=m.tenant.name, role=m.role) for m in members]
    return MeOut(email=user.email, name=user.name, is_admin=user.is_admin, tenants=tenants)
