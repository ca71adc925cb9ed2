"""Putting an app to sleep, and waking it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from berth_cli import output
from berth_cli.client import Client
from berth_cli.options import AppName, Json, connect_to
from berth_cli.target import Target

MOST_SECONDS = 30.0  # a worker takes six when all of it is in use, and may have others to see to first
AGAIN_SECONDS = 0.3


def sleep(
    app: AppName = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Fall asleep by itself when idle for so long (30s, 15m, 2h), never, or default"
        ),
    ] = None,
    json: Json = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for what comes of it")] = False,
) -> None:
    """Put to sleep what is not in use; the next packet wakes it."""
    client, target = connect_to(app)
    if after is not None:
        answer, line = client.put(target.path("sleep"), {"after": after}), "Saved."
    else:
        answer, line = client.post(target.path("sleep")), "What is not in use falls asleep."
        if not no_wait:
            answer = _wait(client, target)
            line = _what_came_of_it(answer)
    _tell(json, answer, line)
    if answer["missing"] and not json:
        output.note(f"{answer['missing']} Its administrator can make some: bin/up --swap auto.")


def _wait(client: Client, target: Target) -> dict[str, Any]:
    """Until a worker is done with the order. In use is what was sent something, or sent it, all the while."""
    end = time.monotonic() + MOST_SECONDS
    while True:
        now: dict[str, Any] = client.get(target.path("sleep"))
        if not now["order"] or time.monotonic() >= end:
            return now
        time.sleep(AGAIN_SECONDS)


def _what_came_of_it(now: dict[str, Any]) -> str:
    asleep, awake = ", ".join(now["asleep"]), ", ".join(now["awake"])
    stays = "it stays" if len(now["awake"]) == 1 else "they stay"
    if now["order"]:
        return f"No worker has put all of it to sleep in {MOST_SECONDS:.0f} seconds. Look again: berth ps"
    if not asleep and not awake:
        return "Nothing of it may sleep: no packet could wake it."
    told = [f"Asleep: {asleep}."] if asleep else []
    return "\n".join([*told, *([f"In use, so {stays} awake: {awake}."] if awake else [])])


def wake(app: AppName = None, json: Json = False) -> None:
    """Wake what sleeps."""
    client, target = connect_to(app)
    _tell(json, client.post(target.path("wake")), "What sleeps is woken.")


def _tell(json: bool, answer: object, line: str) -> None:
    if json:
        output.as_json(answer)
    else:
        for each in line.splitlines():
            output.line(each)
