"""Volumes of an app: folders that outlive its releases."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from berth_cli import output
from berth_cli.client import Client
from berth_cli.errors import CliError
from berth_cli.options import AppName, Json, connect_to
from berth_cli.target import Target

volumes = typer.Typer(help="Volumes of an app.", invoke_without_command=True)


@volumes.callback()
def list_volumes(context: typer.Context, app: AppName = None, json: Json = False) -> None:
    """Volumes, where they are mounted, and what they take."""
    if context.invoked_subcommand is not None:
        return
    client, target = connect_to(app)
    found = client.get(target.path("volumes"))
    if json:
        output.as_json(found)
    else:
        output.table(("VOLUME", "SIZE", "MOUNTED AT"), [_row(volume) for volume in found])


def _row(volume: dict[str, Any]) -> tuple[str, str, str]:
    size = volume["size_bytes"]
    place = volume["path"] if volume["mounted"] else f"not by the present release (was {volume['path']})"
    return volume["name"], "not counted yet" if size is None else output.size(size), place


def names(client: Client, target: Target) -> str:
    """For whoever is about to lose them: ", with its volumes a and b", or nothing."""
    found = [volume["name"] for volume in client.get(target.path("volumes"))]
    return f", and all that is in its volumes ({', '.join(found)})," if found else ""


@volumes.command("delete")
def delete(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    confirm: Annotated[
        str | None, typer.Option(metavar="NAME", help="The volume's name, instead of being asked")
    ] = None,
    app: AppName = None,
    json: Json = False,
) -> None:
    """Delete a volume that the present release does not mount, with all that is in it. Cannot be undone."""
    client, target = connect_to(app)
    if name not in [volume["name"] for volume in client.get(target.path("volumes"))]:
        raise CliError(f"{target} has no volume {name}", "See berth volumes.")
    typed = confirm or typer.prompt(f"Delete all that is in {name} for good? Type its name", err=True)
    if typed != name:
        raise CliError(f"{typed!r} is not the volume's name, so nothing was deleted", f"Type {name}.")
    client.delete(target.path(f"volumes/{quote(name, safe='')}"), {"confirm": typed})
    if json:
        output.as_json({"volume": name, "deleted": True})
    else:
        output.line(f"Volume {name} is being deleted.")
