"""What a tenant may use, and what it is held to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer

from berth_cli import output
from berth_cli.errors import CliError
from berth_cli.options import AnyTenant, Json, Tenant, connect
from berth_cli.target import only_tenant

quota = typer.Typer(help="A tenant's limits.", invoke_without_command=True)


@quota.callback()
def show(
    context: typer.Context,
    tenant: Tenant = None,
    machine: AnyTenant = False,
    json: Json = False,
) -> None:
    """A tenant's limits: set, in force as the kernel tells it, and in use."""
    if context.invoked_subcommand is not None:
        return
    client = connect()
    found = client.get(_path(tenant or only_tenant(client), "machine/" if machine else ""))
    _show(found, json)


@quota.command("set")
def set_limits(
    tenant: Annotated[str, typer.Argument(metavar="TENANT")],
    amounts: Annotated[
        list[str], typer.Argument(metavar="NAME=AMOUNT", help="As memory=2G cpu=1.5 pids=512 io=50M")
    ],
    json: Json = False,
) -> None:
    """Change some of a tenant's limits, for what runs as well. For administrators."""
    changes: dict[str, str] = {}
    for written in amounts:
        name, equals, amount = written.partition("=")
        if not name or not equals:
            raise CliError(f"{written!r} is not NAME=AMOUNT", "An example: berth quota set demo memory=2G")
        if name in changes:
            raise CliError(f"{name} is given twice: {changes[name]} and {amount}", "Give each limit once.")
        changes[name] = amount
    found = connect().patch(_path(tenant, "machine/"), {"changes": changes})
    _show(found, json)
    for note in () if json else found["notes"]:
        output.note(f"Note: {note}.")


def _path(tenant: str, below: str) -> str:
    return f"{below}tenants/{quote(tenant, safe='')}/quota"


def _show(found: dict[str, Any], json: bool) -> None:
    if json:
        output.as_json(found)
        return
    output.table(("LIMIT", "SET", "IN FORCE", "IN USE", ""), [_row(limit) for limit in found["limits"]])
    if found["error"]:
        output.note(f"Not in force as it was set: {found['error']}")


def _row(limit: dict[str, Any]) -> tuple[str, ...]:
    unit = limit["unit"]
    effective = _amount(limit["effective"], unit) if limit["known"] else "-"
    used = "-" if limit["used"] is None else _amount(limit["used"], unit, output.size)
    return limit["name"], _amount(limit["asked"], unit), effective, used, limit["why"]


def _amount(value: int | None, unit: str, of_bytes: Callable[[int], str] = output.exact) -> str:
    if unit == "idle seconds":
        return "default" if value is None else f"{value:,} s" if value else "never"
    if value is None:
        return "no limit"
    if unit == "bytes sent a second":
        return output.rate(value)
    if unit == "cpu":
        return f"{value / 1000:g} cores"
    text = of_bytes(value) if unit.startswith("bytes") else f"{value:,}"
    return f"{text}/s" if unit.endswith("a second") else text
