"""What an administrator sees of tenants and people: lists to search, and the ways in for both."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from paas.errors import BerthError, NotFound
from tenants.accounts import actions
from tenants.accounts.access import admin
from tenants.accounts.forms import TenantForm
from tenants.accounts.models import Tenant, User
from tenants.accounts.secrets import sign_in_url
from tenants.pages import SignedInRequest, errors_in, form_page, said, signed_in

PER_PAGE = 25


@signed_in
def tenants(request: SignedInRequest) -> HttpResponse:
    """All tenants, and the form that makes one. `q` finds, `page` turns."""
    actor = admin(request.user)
    form = TenantForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with errors_in(form):
            made = actions.create_tenant(actor=actor, **form.cleaned_data)
            messages.success(request, f"{made.name} is made, and you own it. Invite its people next.")
            return redirect("tenant", made.slug)
    words = request.GET.get("q", "").strip()
    rows = Tenant.objects.annotate(number=Count("members")).order_by("slug")
    if words:
        rows = rows.filter(Q(slug__icontains=words) | Q(name__icontains=words))
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return form_page(request, "accounts/tenants.html", form, {"page": page, "words": words})


@require_GET
@signed_in
def people(request: SignedInRequest) -> HttpResponse:
    """Everybody who can sign in. `q` finds, `page` turns."""
    admin(request.user)
    return render(request, "accounts/people.html", _people(request))


def _people(request: SignedInRequest) -> dict[str, Any]:
    words = request.GET.get("q", "").strip()
    rows = User.objects.prefetch_related("memberships__tenant").order_by("email")
    if words:
        rows = rows.filter(Q(email__icontains=words) | Q(name__icontains=words))
    return {"page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")), "words": words}


@require_POST
@signed_in
def new_link(request: SignedInRequest, user_id: int) -> HttpResponse:
    """Answers with the page itself: the link is shown once."""
    actor, person = admin(request.user), _person(user_id, is_active=True)
    link = sign_in_url(actions.make_sign_in_link(actor=actor, user=person))
    return render(
        request, "accounts/people.html", {**_people(request), "link": link, "linked": person}, status=201
    )


@require_POST
@signed_in
def shut_out(request: SignedInRequest, user_id: int) -> HttpResponse:
    actor, person = admin(request.user), _person(user_id)
    try:
        changed = actions.shut_out(actor=actor, user=person)
    except BerthError as error:
        messages.error(request, said(error))
    else:
        done = f"{person.email} is shut out." if changed else f"{person.email} was shut out already."
        messages.success(request, done)
    return redirect("people")


@require_POST
@signed_in
def let_in(request: SignedInRequest, user_id: int) -> HttpResponse:
    actor, person = admin(request.user), _person(user_id)
    actions.let_in(actor=actor, user=person)
    messages.success(request, f"{person.email} may sign in again. Send them a new sign-in link.")
    return redirect("people")


def _person(user_id: int, **which: bool) -> User:
    found = User.objects.filter(pk=user_id, **which).first()
    if found is None:
        raise NotFound("there is no such person", hint="Look at the list of people.")
    return found
