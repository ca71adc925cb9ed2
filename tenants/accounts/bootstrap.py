"""The first person and the first tenant of a new machine."""

from __future__ import annotations

from django.db import transaction

from tenants.accounts.actions import create_tenant
from tenants.accounts.models import Member, Role, Tenant, User
from tenants.audit.actions import record
from tenants.checks import checked


@transaction.atomic
def bootstrap(*, email: str, tenant: str) -> User:
    """The first administrator, made with an unusable password if there is none, and `tenant`, theirs.

    Repeating it changes nothing: an administrator who is there is kept, whatever `email` says.
    """
    person = User.objects.filter(is_admin=True, is_active=True).order_by("pk").first() or _administrator(email)
    if not Tenant.objects.exists():
        create_tenant(actor=person, slug=tenant, name=tenant.capitalize())
    return person


def _administrator(email: str) -> User:
    address = checked(User, "email", email.strip().lower())
    person = User.objects.filter(email=address).first() or User.objects.create_user(address)
    person.is_admin = person.is_active = True
    person.save(update_fields=["is_admin", "is_active"])
    record("admin.create", actor=None, email=address)
    return person


def owner_of(tenant: Tenant) -> User:
    """In whose name the machine itself acts for a tenant: its first owner."""
    owner = Member.objects.filter(tenant=tenant, role=Role.OWNER).select_related("user").order_by("pk")
    return owner[0].user
