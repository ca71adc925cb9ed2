"""Commands about apps as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from berth_cli import login, output, volumes
from berth_cli.client import Client
from berth_cli.errors import CliError
from berth_cli.options import AppName, Json, connect, connect_to
from berth_cli.target import FILE, only_tenant


def sign_in(
    url: Annotated[str, typer.Argument(metavar="URL", help="The dashboard's address")] = login.DEFAULT_URL,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="An API token; asked for if not given")
    ] = None,
    json: Json = False,
) -> None:
    """Check an API token and remember it for this user."""
    secret = token or typer.prompt("API token (from your account page)", hide_input=True, err=True)
    entered = login.Login(url.rstrip("/"), secret.strip())
    me = Client(entered).get("me")
    path = login.save(entered)
    if json:
        output.as_json(me)
    else:
        output.line(f"Signed in to {entered.url} as {me['email']}; kept in {path}.")


def list_apps(json: Json = False) -> None:
    """All apps of all of your tenants."""
    found = connect().get("apps")
    if json:
        output.as_json(found)
    elif not found:
        output.note("No apps yet. Make one: berth create NAME")
    else:
        rows = [(f"{a['tenant']}/{a['name']}", a["state"], _version(a), address_of(a)) for a in found]
        output.table(("APP", "STATE", "RELEASE", "ADDRESS"), rows)


def _version(app: dict[str, Any]) -> str:
    return f"v{app['version']}" if app["version"] else ""


def address_of(app: dict[str, Any]) -> str:
    return app["address"] or f"{app['internal_address']} (private)"


def create(
    name: Annotated[str, typer.Argument(metavar="[TENANT/]APP", help="Your only tenant if none is named")],
    stage: Annotated[
        str, typer.Option(help="Whose section of berth.toml applies: stages.STAGE")
    ] = "production",
    json: Json = False,
) -> None:
    """Make an app, and link this folder to it if it is not linked yet."""
    client = connect()
    tenant, _, app = name.rpartition("/")
    made = client.post("apps", {"tenant": tenant or only_tenant(client), "name": app, "stage": stage})
    link = Path(FILE)
    if not link.exists():
        link.write_text(f"{made['tenant']}/{made['name']}\n")
        output.note(f"This folder is linked to it by {FILE}.")
    if json:
        output.as_json(made)
    else:
        output.line(f"Made {made['tenant']}/{made['name']}. It will be at {made['address']}.")
        output.note("Deploy this folder: berth deploy")


def open_app(app: AppName = None, json: Json = False) -> None:
    """Open the app in a browser."""
    client, target = connect_to(app)
    found = client.get(target.path())
    address = found["address"]
    if address is None:
        raise CliError(
            f"{target} is private: it has no public address",
            f"Other containers of the tenant reach it as {found['internal_address']}.",
        )
    if json:
        output.as_json({"address": address})
        return
    output.line(address)
    typer.launch(address)


def destroy(
    app: AppName = None,
    confirm: Annotated[
        str | None, typer.Option(metavar="NAME", help="The app's name, instead of being asked")
    ] = None,
    json: Json = False,
) -> None:
    """Destroy an app and all that belongs to it. Cannot be undone."""
    client, target = connect_to(app)
    client.get(target.path())  # asks for nothing if there is no such app
    if confirm is None:
        lost = volumes.names(client, target)
        confirm = typer.prompt(f"Destroy {target}{lost} for good? Type its name ({target.app})", err=True)
    typed = confirm
    if typed != target.app:
        raise CliError(f"{typed!r} is not the app's name, so nothing was destroyed", f"Type {target.app}.")
    client.delete(target.path(), {"confirm": typed})
    if json:
        output.as_json({"app": str(target), "destroyed": True})
    else:
        output.line(f"{target} is being destroyed.")
