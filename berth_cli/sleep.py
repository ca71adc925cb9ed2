"""Putting an app to sleep, and waking it."""

from __future__ import annotations

from typing import Annotated

import typer

from berth_cli import output
from berth_cli.options import AppName, Json, connect_to


def sleep(
    app: AppName = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Fall asleep by itself when idle for so long (30s, 15m, 2h), never, or default"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Put to sleep what is not in use; the next packet wakes it."""
    client, target = connect_to(app)
    if after is None:
        answer, line = client.post(target.path("sleep")), "What is not in use falls asleep."
    else:
        answer, line = client.put(target.path("sleep"), {"after": after}), "Saved."
    _tell(json, answer, line)
    if answer["missing"] and not json:
        output.note(f"{answer['missing']} Its administrator can make some: bin/up --swap auto.")


def wake(app: AppName = None, json: Json = False) -> None:
    """Wake what sleeps."""
    client, target = connect_to(app)
    _tell(json, client.post(target.path("wake")), "What sleeps is woken.")


def _tell(json: bool, answer: object, line: str) -> None:
    if json:
        output.as_json(answer)
    else:
        output.line(line)
