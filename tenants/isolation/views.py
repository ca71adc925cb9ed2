"""The isolation report: what is promised of containers, and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from tenants.accounts.access import admin, role_in, tenant_for, tenant_seen_by
from tenants.isolation import actions, selectors
from tenants.isolation.models import Report
from tenants.pages import SignedInRequest, signed_in

TENANTS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Line:
    """A promise with what is true of it, as a table shows it."""

    id: str
    title: str
    promise: str
    outcome: str
    found: str


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def tenant(request: SignedInRequest, slug: str) -> HttpResponse:
    """The page, or for htmx the report. POST has it looked again."""
    if request.method == "POST":
        actions.look_at(actor=request.user, tenant=tenant_for(request.user, slug))
        return redirect("isolation", slug)
    found = tenant_seen_by(request.user, slug)
    mine = role_in(request.user, found)
    report = selectors.of_tenant(found)
    context = {"tenant": found, "report": report, "as_administrator": mine is None, **_shown(report)}
    template = "isolation/report.html" if request.htmx else "isolation/tenant.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def machine(request: SignedInRequest) -> HttpResponse:
    """The same of the control plane and, in short, of every tenant."""
    if request.method == "POST":
        actions.look_at_machine(actor=request.user)
        return redirect("machine_isolation")
    admin(request.user)
    report = selectors.of_machine()
    tenants = selectors.of_all()
    context = {
        "report": report,
        "lines": lines(report, (report.answer or {}).get("rows", [])),
        "versions": (report.answer or {}).get("versions", []),
        "installed": (report.answer or {}).get("installed", []),
        "tenants": tenants[:TENANTS_SHOWN],
        "tenant_count": tenants.count(),
    }
    template = "isolation/machine_report.html" if request.htmx else "isolation/machine.html"
    return render(request, template, context)


def summary() -> dict[str, Any]:
    """For the machine's page, by one look: it says what the notice above other pages asks for."""
    rows = list(selectors.everything())
    return {
        "isolation": next((row for row in rows if row.tenant is None), None),
        "isolation_tenants": [row for row in rows if row.tenant][:TENANTS_SHOWN],
        "isolation_broken": sum(row.failed for row in rows),
    }


def _shown(report: Report) -> dict[str, Any]:
    answer = report.answer or {}
    containers = [
        {**container, "lines": lines(report, container["rows"])} for container in answer.get("containers", [])
    ]
    return {
        "summary": _summary(answer),
        "own": lines(report, answer.get("tenant", [])),
        "containers": containers,
    }


def _summary(answer: dict[str, Any]) -> list[Line]:
    """Each promise over all containers: the worst that is true of any."""
    found = []
    for promise in answer.get("promises", []):
        counts = answer["summary"].get(promise["id"])
        if counts:
            outcome = next(name for name in ("fail", "n/a", "pass") if counts[name])
            said = f"{counts['pass']} of {sum(counts.values())} containers"
            found.append(Line(promise["id"], promise["title"], promise["promise"], outcome, said))
    return found


def lines(report: Report, rows: list[dict[str, str]]) -> list[Line]:
    """Rows of a report with the words of their promises."""
    words = {promise["id"]: promise for promise in (report.answer or {}).get("promises", [])}
    return [
        Line(row["id"], words[row["id"]]["title"], words[row["id"]]["promise"], row["outcome"], row["found"])
        for row in rows
    ]
