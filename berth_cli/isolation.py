"""How containers are fenced off: the tenant's report, or the machine's for its administrators."""

from __future__ import annotations

import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

from berth_cli import output
from berth_cli.client import Client
from berth_cli.errors import CliError
from berth_cli.options import Json, connect
from berth_cli.target import only_tenant

POLL_SECONDS = 0.3
WAIT_SECONDS = 300.0
SAID = {"pass": "holds", "fail": "BROKEN", "n/a": "not here"}
REACH = {"void": "Containers get out", "open": "Exposed", "closed": "Out of the containers' reach"}


def isolation(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Yours, if you are in one only")] = None,
    machine: Annotated[
        bool, typer.Option("--machine", help="Berth's own processes and every tenant. For administrators")
    ] = False,
    last: Annotated[bool, typer.Option("--last", help="Show the last report instead of looking again")] = False,
    json: Json = False,
) -> None:
    """Read from the kernel how containers are fenced off. Exit status 1 if a promise is broken."""
    if machine and tenant:
        hint = f"Leave out --machine for the report of {tenant}, or -t for the machine's."
        raise CliError("--machine is of all tenants, -t of one", hint)
    client = connect()
    name = "" if machine else tenant or only_tenant(client)
    path = f"tenants/{quote(name, safe='')}/isolation" if name else "machine/isolation"
    report = client.get(path) if last else _looked(client, path)
    if report["answer"] is None:
        raise CliError("nobody has looked yet", "Leave out --last.")
    if json:
        output.as_json(report)
    elif machine:
        _show_machine(report)
    else:
        _show_tenant(report)
    broken = report["failed"] + sum(row["failed"] for row in report.get("tenants", []))
    if broken:
        raise CliError(f"{broken} broken promise{'' if broken == 1 else 's'}", "An administrator should know.")


def _looked(client: Client, path: str) -> dict[str, Any]:
    report: dict[str, Any] = client.post(path, {})
    end = time.monotonic() + WAIT_SECONDS
    while report["status"] in ("queued", "running"):
        if time.monotonic() > end:
            raise CliError("no worker has looked yet", "Look at the report later: --last.")
        time.sleep(POLL_SECONDS)
        report = client.get(path)
    if report["status"] == "failed":
        raise CliError(report["error"]["summary"], report["error"]["hint"])
    return report


def _show_tenant(report: dict[str, Any]) -> None:
    """Each promise over all containers, then what is broken of which."""
    answer = report["answer"]
    rows = [_row(answer, row) for row in answer["tenant"]]
    for id, counts in answer["summary"].items():
        worst = next(outcome for outcome in ("fail", "n/a", "pass") if counts[outcome])
        rows.append((_title(answer, id), SAID[worst], f"{counts['pass']} of {sum(counts.values())} containers"))
    output.table(("PROMISE", "HOLDS", "WHAT IS TRUE"), rows)
    for container in answer["containers"]:
        for row in container["rows"]:
            if row["outcome"] == "fail":
                name = f"{container['app']} {container['name']} ({container['id']})"
                output.line(f"{name}: {_title(answer, row['id'])}: {row['found']}")
    _note(report)


def _show_machine(report: dict[str, Any]) -> None:
    answer = report["answer"]
    output.table(("PROMISE", "HOLDS", "WHAT IS TRUE"), [_row(answer, row) for row in answer["rows"]])
    for finding in answer["versions"]:
        what = f"{finding['installed']}: {finding['id']}. {REACH[finding['reach']]}"
        output.line(f"{what}: {finding['exposes']} {finding['remedy']}")
    tenants = [(row["tenant"], row["passed"], row["failed"]) for row in report["tenants"]]
    output.table(("TENANT", "HOLD", "BROKEN"), tenants)
    _note(report)


def _row(answer: dict[str, Any], row: dict[str, str]) -> tuple[str, str, str]:
    return _title(answer, row["id"]), SAID[row["outcome"]], row["found"]


def _title(answer: dict[str, Any], id: str) -> str:
    return next(str(promise["title"]) for promise in answer["promises"] if promise["id"] == id)


def _note(report: dict[str, Any]) -> None:
    output.note(f"As of {output.when(report['checked_at'])} UTC; --json has each container in full.")
