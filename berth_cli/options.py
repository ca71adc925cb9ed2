"""Options that commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from berth_cli import login
from berth_cli.client import Client
from berth_cli.target import Target, find

AppName = Annotated[
    str | None, typer.Option("--app", "-a", help="TENANT/APP; else BERTH_APP or the file .berth")
]
Tenant = Annotated[str | None, typer.Option("--tenant", "-t", help="Yours, if you are in one only")]
AnyTenant = Annotated[bool, typer.Option("--machine", help="Of any tenant, by its name. For administrators")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, all else to stderr")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until the release is live")]


def connect() -> Client:
    return Client(login.load())


def connect_to(app: str | None) -> tuple[Client, Target]:
    client = connect()
    return client, find(client, app)
