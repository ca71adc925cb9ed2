"""Signing in, one's own account, and who is a member of a tenant."""

from __future__ import annotations

from typing import Any

from allauth.account.views import LoginView
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from paas.errors import BerthError, NotFound
from tenants.accounts import actions
from tenants.accounts.access import admin, tenant_for
from tenants.accounts.forms import MemberForm, PasswordForm, ProfileForm, TenantForm, TokenForm
from tenants.accounts.models import ApiToken, Member, Role, Tenant, User
from tenants.accounts.secrets import sign_in_url
from tenants.pages import SignedInRequest, errors_in, form_page, said, signed_in

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


class SignIn(LoginView):  # type: ignore[misc]
    """E-mail address and password, with allauth's limits by address and account."""

    template_name = "accounts/sign_in.html"

    def get_default_success_url(self) -> str:
        return reverse("start")  # who it is, is known only after this


@signed_in
def start(request: SignedInRequest) -> HttpResponse:
    return redirect(landing(request.user))


def landing(user: object) -> str:
    """Where a person starts: an administrator at the machine."""
    return reverse("machine") if isinstance(user, User) and user.is_admin else reverse("apps")


@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, secret: str) -> HttpResponse:
    """GET only shows a button: what fetches addresses ahead of a person must not use the link up."""
    if request.method == "POST":
        user = actions.use_sign_in_link(secret)
        login(request, user, backend=BACKEND)
        return redirect(landing(user) if user.has_usable_password() else "password")
    response = render(request, "accounts/sign_in_link.html")
    # The address is a secret. "no-referrer" would make browsers send the form with Origin: null.
    response["Referrer-Policy"] = "same-origin"
    add_never_cache_headers(response)
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("account_login")


@signed_in
def account(request: SignedInRequest) -> HttpResponse:
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your profile is saved.")
        return redirect("account")
    return form_page(
        request, "accounts/account.html", form, {"tokens": _tokens(request), "token_form": TokenForm()}
    )


def _tokens(request: SignedInRequest) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(user=request.user, revoked_at=None)


@sensitive_post_parameters()
@signed_in
def password(request: SignedInRequest) -> HttpResponse:
    form = PasswordForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        with errors_in(form):
            actions.set_password(actor=request.user, password=form.cleaned_data["password"])
            update_session_auth_hash(request, request.user)
            messages.success(request, "Your password is set.")
            return redirect(landing(request.user))
    return form_page(request, "accounts/password.html", form, {"first": "current" not in form.fields})


@require_POST
@signed_in
def create_token(request: SignedInRequest) -> HttpResponse:
    """Answers with the page itself: the secret is shown once, and kept in no session."""
    form, secret = TokenForm(request.POST), ""
    if form.is_valid():
        with errors_in(form):
            _, secret = actions.create_token(actor=request.user, **form.cleaned_data)
    context = {
        "form": ProfileForm(instance=request.user),
        "tokens": _tokens(request),
        "token_form": TokenForm() if secret else form,
        "secret": secret,
    }
    return render(request, "accounts/account.html", context, status=201 if secret else 422)


@require_POST
@signed_in
def revoke_token(request: SignedInRequest, token_id: str) -> HttpResponse:
    actions.revoke_token(actor=request.user, token_id=token_id)
    messages.success(request, "The token is revoked and works no longer.")
    return redirect("account")


# --- tenants and members ------------------------------------------------------------------------


@signed_in
def tenant(request: SignedInRequest, slug: str) -> HttpResponse:
    """Its members and limits; an owner invites here."""
    found = tenant_for(request.user, slug)
    if request.method != "POST":
        return _tenant_page(request, found, MemberForm())
    found = tenant_for(request.user, slug, needs=Role.OWNER)
    form = MemberForm(request.POST)
    if form.is_valid():
        with errors_in(form):
            member, secret = actions.add_member(actor=request.user, tenant=found, **form.cleaned_data)
            return _added(request, found, member, secret)
    return _tenant_page(request, found, form)


def _added(request: SignedInRequest, found: Tenant, member: Member, secret: str | None) -> HttpResponse:
    """A new person's link is shown once, in this very answer."""
    if secret is None:
        messages.success(request, f"{member.user} is now a member.")
        return redirect("tenant", found.slug)
    return _tenant_page(request, found, MemberForm(), {"link": sign_in_url(secret), "linked": member.user})


def _tenant_page(
    request: SignedInRequest, found: Tenant, form: MemberForm, context: dict[str, Any] | None = None
) -> HttpResponse:
    members = found.members.select_related("user").order_by("user__email")
    mine = next((member.role for member in members if member.user_id == request.user.pk), None)
    shown = {"tenant": found, "members": members, "is_owner": mine == Role.OWNER, **(context or {})}
    return form_page(request, "accounts/tenant.html", form, shown)


@require_POST
@signed_in
def remove_member(request: SignedInRequest, slug: str, member_id: int) -> HttpResponse:
    found = tenant_for(request.user, slug, needs=Role.OWNER)
    member = found.members.select_related("user", "tenant").filter(pk=member_id).first()
    if member is None:
        raise NotFound(f"{found} has no such member", hint="Look at the list of its members.")
    try:
        actions.remove_member(actor=request.user, member=member)
    except BerthError as error:
        messages.error(request, said(error))
        return redirect("tenant", slug)
    messages.success(request, f"{member.user} is no longer a member.")
    return redirect("apps" if member.user_id == request.user.pk else reverse("tenant", args=[slug]))


@signed_in
def tenants(request: SignedInRequest) -> HttpResponse:
    """An administrator's list of tenants and people, and the form that makes a tenant."""
    actor = admin(request.user)
    form = TenantForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with errors_in(form):
            made = actions.create_tenant(actor=actor, **form.cleaned_data)
            messages.success(request, f"{made.name} is made, and you own it. Invite its people next.")
            return redirect("tenant", made.slug)
    return form_page(request, "accounts/tenants.html", form, _everyone(actor))


def _everyone(actor: User) -> dict[str, Any]:
    mine = set(Tenant.objects.filter(members__user=actor).values_list("pk", flat=True))
    rows = Tenant.objects.prefetch_related("members__user")
    return {"tenants": rows, "mine": mine, "people": User.objects.order_by("email")}


@require_POST
@signed_in
def new_link(request: SignedInRequest, user_id: int) -> HttpResponse:
    actor = admin(request.user)
    person = User.objects.filter(pk=user_id, is_active=True).first()
    if person is None:
        raise NotFound("there is no such person", hint="Look at the list of people.")
    link = sign_in_url(actions.make_sign_in_link(actor=actor, user=person))
    context = {**_everyone(actor), "form": TenantForm(), "link": link, "linked": person}
    return render(request, "accounts/tenants.html", context, status=201)
