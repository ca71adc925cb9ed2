"""What people do with tenants, members, links and tokens. A secret is returned once; its hash is kept."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import available_timezones

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from paas.errors import Conflict, NotFound, Refused
from tenants.accounts.access import admin
from tenants.accounts.models import ApiToken, IdRange, Member, Role, SignInLink, Tenant, User
from tenants.accounts.secrets import TOKEN_PREFIX, digest, new_secret
from tenants.audit.actions import record
from tenants.checks import bad_field, checked, one_line, unless_taken
from tenants.ids import new_id

LINK_LIFE = timedelta(hours=24)
LAST_RANGE = 4095  # above it a range would pass 2^31, where some programs' ids end


@transaction.atomic
def create_tenant(*, actor: User, slug: str, name: str) -> Tenant:
    """Only an administrator makes tenants, and becomes the owner of what they make."""
    admin(actor)
    slug, name = checked(Tenant, "slug", slug), one_line("name", name, 80)
    taken = Conflict(
        f"there is a tenant {slug} already", hint="Choose another slug.", details={"field": "slug"}
    )
    if Tenant.objects.filter(slug=slug).exists():  # before a range is given out for nothing
        raise taken
    pk = new_id()
    with unless_taken(taken):
        tenant = Tenant.objects.create(pk=pk, slug=slug, name=name, range_index=_next_range(pk))
    Member.objects.create(tenant=tenant, user=actor, role=Role.OWNER)
    record("tenant.create", actor=actor, tenant_id=tenant.pk, slug=slug)
    return tenant


def _next_range(tenant_id: str) -> int:
    index = IdRange.objects.create(tenant_id=tenant_id).pk
    if index > LAST_RANGE:
        raise Refused(f"all {LAST_RANGE} user-id ranges were given out", hint="Use a second machine.")
    return int(index)


@transaction.atomic
def add_member(*, actor: User, tenant: Tenant, email: str, role: Role) -> tuple[Member, str | None]:
    """The member, and the secret of a first sign-in link if this made a new person.

    Only an administrator brings new people in: whoever held a stranger's first link could sign in as them,
    and wait there until another tenant trusts that address.
    """
    email, role = checked(User, "email", email.strip().lower()), Role(checked(Member, "role", role))
    user, secret = _person(actor, email)
    with unless_taken(Conflict(f"{email} is a member of {tenant} already", details={"field": "email"})):
        member = Member.objects.create(tenant=tenant, user=user, role=role)
    record("member.add", actor=actor, tenant_id=tenant.pk, email=email, role=role.value)
    return member, secret


def _person(actor: User, email: str) -> tuple[User, str | None]:
    """Who has the address; if nobody has, a new person and the secret of their first sign-in link."""
    found = User.objects.filter(email=email).first()
    if found is not None:
        return found, None
    if not actor.is_admin:
        raise Refused(
            f"nobody here has the address {email}",
            hint="Ask an administrator of the machine to add this person first.",
            details={"field": "email"},
        )
    user, made = User.objects.get_or_create(email=email, defaults={"password": make_password(None)})
    return user, make_sign_in_link(actor=actor, user=user) if made else None


@transaction.atomic
def change_role(*, actor: User, member: Member, role: str) -> None:
    """What they may do from now on. Conflict for the last owner: a tenant always has one."""
    new, old = Role(checked(Member, "role", role)), Role(member.role)
    if new == old:
        return
    _keep_an_owner(member)
    if not Member.objects.filter(pk=member.pk, role=old).update(role=new):
        raise Conflict(f"{member.user} is {old.value} no longer", hint="Look at the list again.")
    member.role = new
    email, was = member.user.email, old.value
    record("member.role", actor=actor, tenant_id=member.tenant_id, email=email, role=new.value, was=was)


@transaction.atomic
def remove_member(*, actor: User, member: Member) -> None:
    """Conflict for the last owner: a tenant always has one."""
    _keep_an_owner(member)
    record("member.remove", actor=actor, tenant_id=member.tenant_id, email=member.user.email)
    member.delete()


def _keep_an_owner(leaving: Member) -> None:
    """The owners' rows are locked: of two who leave at once, the second is seen to be the last."""
    owners = Member.objects.select_for_update().filter(tenant=leaving.tenant, role=Role.OWNER).order_by("pk")
    others = [owner for owner in owners if owner.pk != leaving.pk and owner.user.is_active]
    if leaving.user.is_active and not others:
        raise Conflict(
            f"{leaving.user} is the last owner of {leaving.tenant}", hint="Make another owner first."
        )


@transaction.atomic
def make_sign_in_link(*, actor: User | None, user: User) -> str:
    """The secret of a link that signs `user` in once, within 24 hours. No actor: root at the machine."""
    if actor is not None:
        admin(actor)
    secret, hashed = new_secret()
    SignInLink.objects.create(user=user, digest=hashed, expires_at=timezone.now() + LINK_LIFE)
    record("link.create", actor=actor, email=user.email)
    return secret


@transaction.atomic
def use_sign_in_link(secret: str) -> User:
    """Whom the link signs in. The conditional update lets one of two racing visitors in, not both."""
    now, links = timezone.now(), SignInLink.objects.filter(digest=digest(secret))
    link = links.select_related("user").filter(user__is_active=True).first()
    if link is None or not links.filter(used_at=None, expires_at__gt=now).update(used_at=now):
        raise Refused(
            "this sign-in link was used before, or is older than 24 hours",
            hint="Ask an administrator for a new one, or sign in with your password.",
        )
    record("link.use", actor=link.user)
    return link.user


@transaction.atomic
def shut_out(*, actor: User, user: User) -> bool:
    """What signs them in ends with this transaction, for good: sessions, password, links and tokens. What they
    made and their memberships stay. False if they were out already."""
    admin(actor)
    if user.pk == actor.pk:
        raise Conflict("nobody can shut themselves out", hint="Ask another administrator of the machine.")
    # Of the password's hash each session holds a part, which fits no other.
    out = {"is_active": False, "password": make_password(None)}
    if not User.objects.filter(pk=user.pk, is_active=True).update(**out):
        return False
    SignInLink.objects.filter(user=user, used_at=None).delete()
    ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    record("person.shut-out", actor=actor, email=user.email)
    return True


@transaction.atomic
def let_in(*, actor: User, user: User) -> bool:
    """Who was shut out may sign in again, by a new link. False if they may already."""
    admin(actor)
    # Again: a request that was under way when they were shut out may have made some.
    inside = {"is_active": True, "password": make_password(None)}
    if not User.objects.filter(pk=user.pk, is_active=False).update(**inside):
        return False
    ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    record("person.let-in", actor=actor, email=user.email)
    return True


@transaction.atomic
def save_profile(*, actor: User, name: str, time_zone: str) -> None:
    """Their own name, which may be empty, and the zone used where their browser tells none."""
    if time_zone not in available_timezones():
        raise bad_field("time_zone", f"there is no time zone {time_zone!r}")
    new = {"name": one_line("name", name, 120) if name.strip() else "", "time_zone": time_zone}
    changes = {field: value for field, value in new.items() if getattr(actor, field) != value}
    if not changes:
        return
    for field, value in changes.items():
        setattr(actor, field, value)
    actor.save(update_fields=list(changes))
    record("profile.change", actor=actor, **changes)


@transaction.atomic
def set_password(*, actor: User, password: str) -> None:
    """Their own. Ends their other sessions, whose hash no longer fits."""
    try:
        validate_password(password, actor)
    except ValidationError as error:
        raise bad_field(
            "password", "this password is too easy to guess", hint=" ".join(error.messages)
        ) from None
    actor.set_password(password)
    actor.save(update_fields=["password"])
    record("password.set", actor=actor)


@transaction.atomic
def create_token(*, actor: User, name: str, scope: str = ApiToken.Scope.DEPLOY) -> tuple[ApiToken, str]:
    name, scope = one_line("name", name, 80), checked(ApiToken, "scope", scope)
    secret, hashed = new_secret(TOKEN_PREFIX)
    token = ApiToken.objects.create(user=actor, name=name, scope=scope, digest=hashed)
    record("token.create", actor=actor, name=name, scope=scope)
    return token, secret


@transaction.atomic
def revoke_token(*, actor: User, token_id: str) -> None:
    """One of their own; it stops working with this transaction."""
    token = ApiToken.objects.filter(user=actor, pk=token_id).first()
    if token is None:
        raise NotFound("you have no such token", hint="Look at the list of your tokens.")
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        record("token.revoke", actor=actor, name=token.name)
