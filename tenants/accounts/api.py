from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema

from tenants.accounts.access import memberships
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


@router.get("/me", response={200: MeOut, **ERRORS}, summary="Who the token belongs to, and their tenants")
def me(request: HttpRequest) -> MeOut:
    user = person(request)
    members = memberships(user).select_related("tenant").order_by("tenant__slug")
    tenants = [MembershipOut(tenant=m.tenant.slug, name=m.tenant.name, role=m.role) for m in members]
    return MeOut(email=user.email, name=user.name, is_admin=user.is_admin, tenants=tenants)
