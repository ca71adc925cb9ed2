"""Running a command once, what became of it, and those before it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from tenants.accounts.models import Role
from tenants.apps.access import app_for
from tenants.apps.models import App
from tenants.pages import SignedInRequest, errors_in, form_page, signed_in
from tenants.releases.views import app_context, tell
from tenants.runs import actions, selectors
from tenants.runs.access import run_for
from tenants.runs.forms import RunForm
from tenants.runs.models import GOING, Run

PER_PAGE = 30


@sensitive_post_parameters("command")
@signed_in
def runs(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    """History with the form above it; for htmx the history alone. `?like=` begins with an earlier command."""
    if request.method == "POST":
        app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
        form = RunForm(request.POST)
        if form.is_valid() and (started := _start(request, app, form)):
            return redirect("run", tenant, name, started.pk)
        return _page(request, app, form)
    app = app_for(request.user, tenant, name)
    if request.htmx:
        return render(request, "runs/run_list.html", _context(request, app))
    return _page(request, app, RunForm(initial={"command": _like(app, request.GET.get("like", ""))}))


def _start(request: SignedInRequest, app: App, form: RunForm) -> Run | None:
    with errors_in(form):
        return actions.start_run(actor=request.user, app=app, command=form.cleaned_data["command"])
    return None


def _like(app: App, run_id: str) -> str:
    return run_for(app, run_id).shown if run_id else ""


def _page(request: SignedInRequest, app: App, form: RunForm) -> HttpResponse:
    return form_page(request, "runs/runs.html", form, _context(request, app))


def _context(request: SignedInRequest, app: App) -> dict[str, Any]:
    page = Paginator(selectors.runs(app), PER_PAGE).get_page(request.GET.get("page"))
    return {**app_context(request, app, "runs"), "page": page, "longest": settings.RUN_SECONDS}


@require_GET
@signed_in
def run(request: SignedInRequest, tenant: str, name: str, run_id: str) -> HttpResponse:
    """The page, or for htmx its head, which changes while the log below goes on."""
    app = app_for(request.user, tenant, name)
    found = run_for(app, run_id)
    context = {**app_context(request, app, "runs"), "run": found, "ended": found.status not in GOING}
    return render(request, "runs/run_head.html" if request.htmx else "runs/run.html", context)


@require_POST
@signed_in
def cancel(request: SignedInRequest, tenant: str, name: str, run_id: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    found = run_for(app, run_id)
    tell(request, lambda: actions.cancel_run(actor=request.user, run=found), "The command is being stopped.")
    return redirect("run", tenant, name, run_id)
