"""Putting an app to sleep, and waking it."""

from __future__ import annotations

from typing import Annotated

import typer

from berth_cli import output
from berth_cli.errors import CliError
from berth_cli.options import AppName, Json, connect_to

NAMED: dict[str, int | None] = {"never": 0, "default": None}


def sleep(
    app: AppName = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS", help="Fall asleep by itself after so many idle seconds, never, or default"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Put to sleep what is not in use; the next packet wakes it."""
    client, target = connect_to(app)
    if after is None:
        _tell(json, client.post(target.path("sleep")), "What is not in use falls asleep.")
        return
    if after not in NAMED and not after.isdecimal():
        raise CliError(f"{after!r} is no number of seconds", "Name one as 900, or never, or default.")
    seconds = NAMED[after] if after in NAMED else int(after)
    _tell(json, client.put(target.path("sleep"), {"after": seconds}), "Saved.")


def wake(app: AppName = None, json: Json = False) -> None:
    """Wake what sleeps."""
    client, target = connect_to(app)
    _tell(json, client.post(target.path("wake")), "What sleeps is woken.")


def _tell(json: bool, answer: object, line: str) -> None:
    if json:
        output.as_json(answer)
    else:
        output.line(line)
