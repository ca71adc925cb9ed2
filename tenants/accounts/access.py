"""The only way to a tenant's row: what is another tenant's is not found, as if it did not exist."""

from __future__ import annotations

from typing import TypeGuard

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from paas.errors import NotFound, Refused
from tenants.accounts.looks import note_look
from tenants.accounts.models import Member, Role, Tenant, User
from tenants.accounts.roles import includes

Person = User | AnonymousUser


def is_active(user: Person) -> TypeGuard[User]:
    """Whether it is somebody, and not shut out: nobody else is a member of anything."""
    return isinstance(user, User) and user.is_active


def memberships(user: Person) -> QuerySet[Member]:
    return Member.objects.filter(user=user) if is_active(user) else Member.objects.none()


def tenants_of(user: Person) -> QuerySet[Tenant]:
    return Tenant.objects.filter(members__in=memberships(user))


def role_in(user: Person, tenant: Tenant) -> Role | None:
    """For a page that shows only what its reader may do; the gate is `tenant_for`."""
    member = memberships(user).filter(tenant=tenant).first()
    return Role(member.role) if member else None


def tenant_for(user: Person, slug: str, needs: Role = Role.VIEWER) -> Tenant:
    """NotFound if there is no such tenant or it is not the user's; Refused if their role is too low."""
    member = memberships(user).select_related("tenant").filter(tenant__slug=slug).first()
    if member is None:
        raise NotFound(f"there is no tenant {slug!r} here", hint="Look at the list of your tenants.")
    require(member.tenant, Role(member.role), needs)
    return member.tenant


def tenant_seen_by(user: Person, slug: str) -> Tenant:
    """For a page that only shows: a member's tenant, or, to an administrator, any. That is noted."""
    try:
        return tenant_for(user, slug)
    except NotFound:
        tenant = Tenant.objects.filter(slug=slug).first()
        if tenant is None or not is_admin(user):
            raise
    assert isinstance(user, User)
    note_look(user, tenant)
    return tenant


def require(tenant: Tenant, role: Role, needs: Role) -> None:
    """Refused where one with this role in the tenant may not do what needs another."""
    if not includes(role, needs):
        raise Refused(
            f"this needs the role {needs.value}, and you are {role.value} in {tenant}",
            hint=f"Ask an owner of {tenant} to change your role.",
            details={"needs": needs.value, "role": role.value},
        )


def is_admin(user: Person) -> bool:
    return is_active(user) and user.is_admin


def admin(user: Person) -> User:
    """The administrator of the machine, or Refused. It gives no role in any tenant."""
    if not isinstance(user, User) or not is_admin(user):
        raise Refused("this needs an administrator of the machine", hint="Ask one of them.")
    return user
