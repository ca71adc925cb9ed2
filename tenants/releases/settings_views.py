"""Config vars and formation: what a person sets about an app, beside its source."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.forms import BaseForm
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from paas.errors import BadInput, NotFound
from tenants.accounts.models import Role
from tenants.apps.access import app_for, app_seen_by
from tenants.apps.models import App
from tenants.pages import SignedInRequest, errors_in, form_page, signed_in
from tenants.releases import actions, selectors
from tenants.releases import next as following
from tenants.releases.config import Changes
from tenants.releases.forms import AdviceForm, ConfigVarForm, DotEnvForm, FormationForm
from tenants.releases.sleep_time import told_default
from tenants.releases.views import app_context, tell
from tenants.volumes.selectors import volumes


@sensitive_post_parameters("value")
@signed_in
def config(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    """Names for every member; values are fetched one by one, by those who may change them."""
    if request.method != "POST":
        return _config_page(request, app_seen_by(request.user, tenant, name), ConfigVarForm())
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    form = ConfigVarForm(request.POST)
    if form.is_valid() and _set(request, app, form, {form.cleaned_data["key"]: form.cleaned_data["value"]}):
        return redirect("config", tenant, name)
    return _config_page(request, app, form)


@sensitive_post_parameters("lines")
@require_POST
@signed_in
def config_many(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    form = DotEnvForm(request.POST)
    if form.is_valid() and _set(request, app, form, form.cleaned_data["lines"]):
        return redirect("config", tenant, name)
    return _config_page(request, app, ConfigVarForm(), {"many_form": form})


@require_GET
@signed_in
def config_var(request: SignedInRequest, tenant: str, name: str, key: str) -> HttpResponse:
    """One row for htmx: masked, or with its value to read and change."""
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    var = app.config_vars.filter(key=key).first()
    if var is None:
        raise NotFound(f"{app} has no config var {key!r}", hint="Look at the list of its config vars.")
    shown = "open" in request.GET
    context = {"app": app, "var": var, "open": shown, "may_change": True}
    if shown:
        context["form"] = ConfigVarForm(initial={"key": key, "value": var.value}, auto_id=f"id_{key}_%s")
    return render(request, "releases/config_row.html", context)


@require_POST
@signed_in
def unset(request: SignedInRequest, tenant: str, name: str, key: str) -> HttpResponse:
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    changes: Changes = {key: None}
    tell(request, lambda: actions.set_config(actor=request.user, app=app, changes=changes), f"{key} is unset.")
    return redirect("config", tenant, name)


def _set(request: SignedInRequest, app: App, form: BaseForm, changes: Changes) -> bool:
    with errors_in(form):
        release = actions.set_config(actor=request.user, app=app, changes=changes)
        names = ", ".join(changes) if len(changes) < 4 else f"{len(changes)} config vars"
        follows = f" v{release.version} starts with it." if release else ""
        messages.success(request, f"{names} saved.{follows}")
        return True
    return False


def _config_page(
    request: SignedInRequest, app: App, form: ConfigVarForm, extra: dict[str, Any] | None = None
) -> HttpResponse:
    context = {
        **app_context(request, app, "config"),
        "vars": app.config_vars.defer("value"),
        "defaults": _defaults(app),
        "many_form": DotEnvForm(),
        **(extra or {}),
    }
    many = context["many_form"]
    page = form_page(request, "releases/config.html", form, context)
    if many.is_bound:
        page.status_code = 422
    return page


def _defaults(app: App) -> list[str]:
    """Names that berth.toml sets and no config var replaces."""
    latest = selectors.latest_release(app)
    mine = set(selectors.config_keys(app))
    return sorted(key for key in latest.defaults if key not in mine) if latest else []


@signed_in
def settings_page(request: SignedInRequest, tenant: str, name: str) -> HttpResponse:
    """Formation, address, restart, and the way to destroy."""
    if request.method == "POST":
        app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    else:
        app = app_seen_by(request.user, tenant, name)
    current = following.current(app)
    processes = {process["name"]: process for process in current.processes} if current else {}
    form = FormationForm({key: process["count"] for key, process in processes.items()}, request.POST or None)
    if request.method == "POST" and form.is_valid():
        with errors_in(form):
            release = actions.scale(actor=request.user, app=app, formation=form.cleaned_data)
            messages.success(
                request, f"v{release.version} starts with it." if release else "Nothing to change."
            )
            return redirect("settings", tenant, name)
    rows = [(form[key], process) for key, process in processes.items()]
    context = {**app_context(request, app, "settings"), "rows": rows, "volumes": volumes(app)}
    context["sleep_default"] = told_default(app, context["serving"] or current)
    return form_page(request, "releases/settings.html", form, context)


@require_POST
@signed_in
def limit(request: SignedInRequest, tenant: str, name: str, process: str) -> HttpResponse:
    """Apply the advice, or, with `undo`, go back to what the release asks for."""
    app = app_for(request.user, tenant, name, needs=Role.DEVELOPER)
    choose_limit(request, app, process)
    return redirect("app", tenant, name)


def choose_limit(request: SignedInRequest, app: App, process: str) -> None:
    form = AdviceForm(request.POST)
    if not form.is_valid():
        raise BadInput("that is not a limit in bytes", hint="Go back and apply the advice that the page shows.")
    if "undo" in request.POST:
        action = partial(actions.undo_right_size, actor=request.user, app=app, process=process)
        tell(request, action, f"{process} of {app.name} has the limit of its release again.")
        return
    action = partial(
        actions.right_size, actor=request.user, app=app, process=process, advice=form.cleaned_data["advice"]
    )
    tell(request, action, f"{process} of {app.name} gets the better limit. Nothing is restarted.")
