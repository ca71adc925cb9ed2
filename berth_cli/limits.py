"""Memory limits of an app's processes, and better ones."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from berth_cli import output
from berth_cli.options import AppName, Json, connect_to

limits = typer.Typer(help="Memory limits of an app.", invoke_without_command=True)
Process = Annotated[str, typer.Argument(metavar="TYPE", help="A process type, as web")]

Machine = Annotated[bool, typer.Option("--machine", help="Of any tenant's app. For administrators")]


@limits.callback()
def show(context: typer.Context, app: AppName = None, json: Json = False) -> None:
    """Limits of its process types, what each was seen to need, and a better one where there is."""
    if context.invoked_subcommand is not None:
        return
    client, target = connect_to(app)
    found = client.get(target.path("limits"))
    if json:
        output.as_json(found)
        return
    output.table(
        ("PROCESS", "LIMIT", "OF ITS RELEASE", "NEEDED", "BETTER LIMIT"), [_row(size) for size in found]
    )


@limits.command("apply")
def apply(process: Process, app: AppName = None, machine: Machine = False, json: Json = False) -> None:
    """Give a process type its better limit, at once and without a restart."""
    _change("POST", process, app, machine, json)


@limits.command("undo")
def undo(process: Process, app: AppName = None, machine: Machine = False, json: Json = False) -> None:
    """Go back to the limit that its release asks for."""
    _change("DELETE", process, app, machine, json)


def _change(method: str, process: str, app: str | None, machine: bool, json: bool) -> None:
    client, target = connect_to(app)
    below = target.path(f"limits/{quote(process, safe='')}")
    path = f"machine/{below}" if machine else below
    size = client.send(method, path, json={}).json()
    if json:
        output.as_json(size)
        return
    instead = f" instead of {output.exact(size['asked'])}" if size["limit"] != size["asked"] else ""
    output.line(f"{size['process']} may have {output.exact(size['limit'])}{instead}. Nothing is restarted.")


def _row(size: dict[str, Any]) -> tuple[str, ...]:
    return (
        size["process"],
        output.exact(size["limit"]),
        output.exact(size["asked"]),
        output.size(size["needed"]) if size["needed"] else "-",
        output.exact(size["advice"]) if size["advice"] else "-",
    )
