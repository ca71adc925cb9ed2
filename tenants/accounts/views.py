"""Signing in, and one's own account."""

from __future__ import annotations

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

from paas.errors import Refused
from tenants.accounts import actions
from tenants.accounts.forms import PasswordForm, ProfileForm, TokenForm
from tenants.accounts.limits import FailureLimit
from tenants.accounts.models import ApiToken, User
from tenants.pages import SignedInRequest, errors_in, form_page, signed_in

link_failures = FailureLimit("link", what="a link", most=20, seconds=300)
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
        link_failures.check(request)
        try:
            user = actions.use_sign_in_link(secret)
        except Refused:
            link_failures.failed(request)
            raise
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
    form = ProfileForm(request.POST) if request.method == "POST" else _profile(request.user)
    if form.is_valid():
        with errors_in(form):
            actions.save_profile(actor=request.user, **form.cleaned_data)
            messages.success(request, "Your profile is saved.")
            return redirect("account")
    return form_page(
        request, "accounts/account.html", form, {"tokens": _tokens(request), "token_form": TokenForm()}
    )


def _profile(user: User) -> ProfileForm:
    return ProfileForm(initial={"name": user.name, "time_zone": user.time_zone})


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
        "form": _profile(request.user),
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
