"""Waiting for builds and releases, and showing what they say meanwhile."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from typing import Any

from berth_cli.client import Client
from berth_cli.errors import CliError
from berth_cli.target import Target

POLL_SECONDS = 0.5
UNDER_WAY = ("pending", "starting")
Show = Callable[[str], None]


def build(client: Client, target: Target, build_id: str, show: Show) -> dict[str, Any]:
    """Show the log to its end; the build once it has ended well, else CliError with its reason."""
    for text in _log(client, target, build_id):
        show(text)
    ended: dict[str, Any] = client.get(target.path(f"builds/{build_id}"))
    if ended["status"] != "succeeded":
        error = ended["error"] or {}
        raise CliError(
            f"the build {ended['status']}: {error.get('summary', 'no reason given')}", error.get("hint", "")
        )
    return ended


def _log(client: Client, target: Target, build_id: str) -> Any:
    """Whole lines, as they come."""
    decoder, offset, rest = codecs.getincrementaldecoder("utf-8")("replace"), 0, ""
    while True:
        response = client.send("GET", target.path(f"builds/{build_id}/log"), params={"offset": offset})
        offset = int(response.headers["X-Berth-Next-Offset"])
        done = response.headers["X-Berth-Done"] == "1"
        *lines, rest = (rest + decoder.decode(response.content, final=done)).split("\n")
        yield from lines
        if done:
            if rest:
                yield rest
            return
        if not response.content:
            time.sleep(POLL_SECONDS)


def release(client: Client, target: Target, version: int) -> dict[str, Any]:
    """The release once it is live, else CliError with the reason and the end of its log."""
    while True:
        found: dict[str, Any] = client.get(target.path(f"releases/{version}"))
        if found["status"] not in UNDER_WAY:
            break
        time.sleep(POLL_SECONDS)
    if found["status"] in ("live", "retired"):
        return found
    if found["status"] == "superseded":
        raise CliError(f"v{version} was overtaken by a later release before it was live", "See berth releases.")
    raise _failed(found)


def _failed(found: dict[str, Any]) -> CliError:
    error = found["error"] or {}
    lines = [str(line) for line in error.get("details", {}).get("log", [])]
    log = "".join(f"\n  | {line}" for line in lines[-20:])
    summary = f"v{found['version']} is not live: {error.get('summary', 'no reason given')}{log}"
    return CliError(summary, error.get("hint", ""))
