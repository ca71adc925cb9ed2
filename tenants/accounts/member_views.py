"""Who is a member of a tenant: every member sees it, owners change it, an administrator may look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from paas.errors import BerthError, NotFound
from tenants.accounts import actions
from tenants.accounts.access import role_in, tenant_for, tenant_seen_by
from tenants.accounts.forms import MemberForm, RoleForm
from tenants.accounts.in_force import lines
from tenants.accounts.models import Member, Role, Tenant
from tenants.accounts.roles import includes
from tenants.accounts.secrets import sign_in_url
from tenants.pages import SignedInRequest, errors_in, form_page, said, signed_in

PER_PAGE = 25


@signed_in
def tenant(request: SignedInRequest, slug: str) -> HttpResponse:
    """Its members and limits; an owner invites here. `q` finds, `page` turns."""
    if request.method != "POST":
        return _page(request, tenant_seen_by(request.user, slug), MemberForm())
    found = tenant_for(request.user, slug, needs=Role.OWNER)
    form = MemberForm(request.POST)
    if form.is_valid():
        with errors_in(form):
            member, secret = actions.add_member(actor=request.user, tenant=found, **form.cleaned_data)
            return _added(request, found, member, secret)
    return _page(request, found, form)


def _added(request: SignedInRequest, found: Tenant, member: Member, secret: str | None) -> HttpResponse:
    """A new person's link is shown once, in this very answer."""
    if secret is None:
        messages.success(request, f"{member.user} is now a member.")
        return redirect("tenant", found.slug)
    return _page(request, found, MemberForm(), {"link": sign_in_url(secret), "linked": member.user})


def _page(
    request: SignedInRequest, found: Tenant, form: MemberForm, extra: dict[str, Any] | None = None
) -> HttpResponse:
    words, mine = request.GET.get("q", "").strip(), role_in(request.user, found)
    context = {
        "tenant": found,
        "limits": lines(found),
        "page": Paginator(_members(found, words), PER_PAGE).get_page(request.GET.get("page")),
        "words": words,
        "roles": Role.choices,
        "is_owner": mine == Role.OWNER,
        "may_deploy": mine is not None and includes(mine, Role.DEVELOPER),
        "as_administrator": mine is None,
        **(extra or {}),
    }
    return form_page(request, "accounts/tenant.html", form, context)


def _members(found: Tenant, words: str) -> QuerySet[Member]:
    rows = found.members.select_related("user").order_by("user__email")
    return rows.filter(Q(user__email__icontains=words) | Q(user__name__icontains=words)) if words else rows


@require_POST
@signed_in
def change_role(request: SignedInRequest, slug: str, member_id: int) -> HttpResponse:
    found, member = _member(request, slug, member_id)
    form = RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the roles.")
        return redirect("tenant", slug)
    role = Role(form.cleaned_data["role"])
    _tell(
        request,
        lambda: actions.change_role(actor=request.user, member=member, role=role),
        f"{member.user} is now {role.label.lower()} of {found.name}.",
    )
    return redirect("tenant", slug)


@require_POST
@signed_in
def remove_member(request: SignedInRequest, slug: str, member_id: int) -> HttpResponse:
    found, member = _member(request, slug, member_id)
    removed = _tell(
        request,
        lambda: actions.remove_member(actor=request.user, member=member),
        f"{member.user} is no longer a member of {found.name}.",
    )
    own = removed and member.user_id == request.user.pk
    return redirect("apps" if own else reverse("tenant", args=[slug]))


def _member(request: SignedInRequest, slug: str, member_id: int) -> tuple[Tenant, Member]:
    found = tenant_for(request.user, slug, needs=Role.OWNER)
    member = found.members.select_related("user", "tenant").filter(pk=member_id).first()
    if member is None:
        raise NotFound(f"{found} has no such member", hint="Look at the list of its members.")
    return found, member


def _tell(request: SignedInRequest, action: Callable[[], object], done: str) -> bool:
    """Do it, and say on the next page how it went."""
    try:
        action()
    except BerthError as error:
        messages.error(request, said(error))
        return False
    messages.success(request, done)
    return True
