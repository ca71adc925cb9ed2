"""Registries: sign in to one, push a release's image to one, or get it as a file; and end what is under way."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from berth_cli import output
from berth_cli.client import Client
from berth_cli.errors import CliError
from berth_cli.options import AppName, Json, NoWait, Tenant, connect, connect_to
from berth_cli.target import Target, only_tenant

registries = typer.Typer(help="Image registries that a tenant signs in to.", no_args_is_help=True)
pushes = typer.Typer(help="Pushes of an app's images.", no_args_is_help=True)
exports = typer.Typer(help="Exports of an app's images.", no_args_is_help=True)
POLL_SECONDS = 0.5


def push(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The release: v3")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Where to: registry.example/shop:v3")],
    app: AppName = None,
    json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Push a release's image to a registry, and print its digest there."""
    client, target = connect_to(app)
    number = _version(version, "berth push v3 registry.example/shop:v3")
    row: dict[str, Any] = client.post(target.path(f"releases/{number}/push"), {"image": image})
    if not no_wait:
        row = _ended(client, target, "push", row)
    if json:
        output.as_json(row)
    elif row["digest"]:
        name = row["reference"].partition("@")[0]
        output.line(f"Pushed v{row['version']} to {name}@{row['digest']}")
    else:
        output.line(f"Push {row['id']} is {row['status']}.")


def export(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The release: v3")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A new file; APP-v3.tar if not given")
    ] = None,
    app: AppName = None,
    json: Json = False,
) -> None:
    """Get a release's image as a file: an OCI layout that docker load takes, too."""
    client, target = connect_to(app)
    number = _version(version, "berth export v3")
    path = file or Path(f"{target.app}-v{number}.tar")
    if path.exists():
        raise CliError(f"{path} is there already", "Name another file.")
    row: dict[str, Any] = client.post(target.path(f"releases/{number}/export"))
    row = _ended(client, target, "export", row)
    _save(client, row["archive"], path)
    if json:
        output.as_json({**row, "file": str(path)})
    else:
        output.line(f"Wrote v{number} to {path} ({row['size']:,} bytes).")


def _ended(client: Client, target: Target, what: str, row: dict[str, Any]) -> dict[str, Any]:
    """A push or an export once it has ended well, else CliError with its reason. Whoever waits no longer is
    told that it goes on."""
    rows = "pushes" if what == "push" else "exports"
    try:
        while row["status"] in ("queued", "running"):
            time.sleep(POLL_SECONDS)
            row = client.get(target.path(f"{rows}/{row['id']}"))
    except KeyboardInterrupt:
        output.note(f"The {what} goes on. To cancel it: berth {rows} cancel {row['id']} --app {target}")
        raise
    if row["status"] == "cancelled":
        again = " ".join(("berth", what, f"v{row['version']}", *filter(None, [row.get("reference")])))
        raise CliError(f"the {what} was cancelled", f"To ask for it again: {again}")
    if row["error"]:
        raise CliError(row["error"]["summary"], row["error"]["hint"])
    return row


@pushes.command("list")
def list_pushes(app: AppName = None, json: Json = False) -> None:
    """Pushes, newest first."""
    client, target = connect_to(app)
    found = client.get(target.path("pushes"))
    if json:
        output.as_json(found)
        return
    columns = ("id", "status", "reference", "created_by")
    rows = [(f"v{p['version']}", *(p[name] for name in columns), output.when(p["created_at"])) for p in found]
    output.table(("RELEASE", "PUSH", "STATUS", "IMAGE", "BY", "WHEN"), rows)


@pushes.command("cancel")
def cancel_push(
    push: Annotated[str | None, typer.Argument(metavar="PUSH", help="Its id; the newest if not given")] = None,
    app: AppName = None,
    json: Json = False,
) -> None:
    """Cancel a push that waits or runs."""
    client, target = connect_to(app)
    if push is None:
        newest = client.get(target.path("pushes"), limit=1)
        if not newest:
            raise CliError(f"{target} has no pushes", "Start one: berth push v3 registry.example/shop:v3")
        push = str(newest[0]["id"])
    _cancel(client, target, "pushes", push, json)


@exports.command("cancel")
def cancel_export(
    export: Annotated[str, typer.Argument(metavar="EXPORT", help="Its id, as berth export says it")],
    app: AppName = None,
    json: Json = False,
) -> None:
    """Cancel an export that waits or runs."""
    client, target = connect_to(app)
    _cancel(client, target, "exports", export, json)


def _cancel(client: Client, target: Target, rows: str, pk: str, json: bool) -> None:
    ended = client.post(target.path(f"{rows}/{quote(pk, safe='')}/cancel"))
    if json:
        output.as_json(ended)
    else:
        output.line(f"{pk} is being cancelled." if ended["status"] == "running" else "Cancelled.")


def _save(client: Client, address: str, path: Path) -> None:
    """All of it or nothing."""
    part = path.with_name(f".{path.name}.part")
    try:
        with client.download(address) as pieces, part.open("wb") as target:
            for piece in pieces:
                target.write(piece)
        part.rename(path)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}", "Name another file.") from None
    finally:
        part.unlink(missing_ok=True)


def _version(text: str, example: str) -> int:
    number = text.removeprefix("v")
    if not (number.isascii() and number.isdecimal()):
        raise CliError(f"{text!r} is not a release", f"An example: {example}")
    return int(number)


@registries.command("list")
def list_logins(tenant: Tenant = None, json: Json = False) -> None:
    """Where the tenant is signed in."""
    client = connect()
    found = client.get(_path(tenant or only_tenant(client)))
    if json:
        output.as_json(found)
    else:
        rows = [(login["host"], login["username"], output.when(login["updated_at"])) for login in found]
        output.table(("REGISTRY", "NAME", "SINCE"), rows)


@registries.command("login")
def sign_in(
    host: Annotated[str, typer.Argument(metavar="HOST", help="registry.example or registry.example:5000")],
    username: Annotated[str, typer.Option("--username", "-u", metavar="NAME", prompt=True)],
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read it from stdin")] = False,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Sign the tenant in: its builds pull, and its releases are pushed, with this name and password.

    The registry is not asked now: whether the password is right shows with the first deploy or push.
    """
    client = connect()
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = typer.prompt("Password", hide_input=True, err=True)
    name = tenant or only_tenant(client)
    made = client.post(_path(name), {"host": host, "username": username, "password": password})
    if json:
        output.as_json(made)
    else:
        output.line(f"{name} signs in to {made['host']} as {made['username']}.")
        output.note("Whether the password is right shows with the first deploy or push.")


@registries.command("logout")
def sign_out(
    host: Annotated[str, typer.Argument(metavar="HOST", help="As it was signed in to")],
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Forget the tenant's name and password at a registry."""
    client = connect()
    client.send("DELETE", f"{_path(tenant or only_tenant(client))}/{quote(host, safe='')}")
    if json:
        output.as_json({"host": host})
    else:
        output.line(f"Signed out of {host}.")


def _path(tenant: str) -> str:
    return f"tenants/{quote(tenant, safe='')}/registries"
