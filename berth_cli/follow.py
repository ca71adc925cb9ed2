"""Waiting for builds and releases, and showing what they say meanwhile."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from berth_cli import output
from berth_cli.client import Broken, Client, Event
from berth_cli.errors import CliError
from berth_cli.target import Target

POLL_SECONDS, POLL_FIRST_SECONDS = 0.5, 0.05
QUEUED_SECONDS = 1.0  # most builds begin sooner
GIVE_UP_SECONDS = 60.0
UNDER_WAY = ("pending", "starting")
Show = Callable[[str], None]


def build(client: Client, target: Target, build_id: str, show: Show) -> dict[str, Any]:
    """Show the log to its end; the build once it has ended well, else CliError with its reason. The log ends
    with that reason, too: it is told once."""
    held: list[str] = []
    for text in _log(client, target, build_id):
        if held and not text.startswith("Hint: "):
            _each(show, held)
            held = []
        if held or text.startswith("Error: "):
            held.append(text)
        else:
            show(text)
    ended: dict[str, Any] = client.get(target.path(f"builds/{build_id}"))
    error = ended["error"] or {}
    summary, hint = error.get("summary", "no reason given"), error.get("hint", "")
    if held != [f"Error: {summary}", *([f"Hint: {hint}"] if hint else [])]:
        _each(show, held)
    if ended["status"] == "cancelled":
        raise CliError("the build was cancelled", "To build it again: berth deploy")
    if ended["status"] != "succeeded":
        raise CliError(f"the build {ended['status']}: {summary}", hint)
    return ended


def _each(show: Show, lines: Iterable[str]) -> None:
    for line in lines:
        show(line)


def pause(began: float) -> None:
    """Until the next question about what began at that time.monotonic(): what is quick is seen to be quick."""
    time.sleep(min(max(POLL_FIRST_SECONDS, (time.monotonic() - began) / 10), POLL_SECONDS))


def _log(client: Client, target: Target, build_id: str) -> Any:
    """Whole lines, as they come."""
    decoder, offset, rest = codecs.getincrementaldecoder("utf-8")("replace"), 0, ""
    began, is_asked = time.monotonic(), False
    while True:
        response = client.send("GET", target.path(f"builds/{build_id}/log"), params={"offset": offset})
        offset = int(response.headers["X-Berth-Next-Offset"])
        done = response.headers["X-Berth-Done"] == "1"
        *lines, rest = (rest + decoder.decode(response.data, final=done)).split("\n")
        yield from lines
        if done:
            if rest:
                yield rest
            return
        if not response.data:
            pause(began)
        if not offset and not is_asked and time.monotonic() - began > QUEUED_SECONDS:
            is_asked = True
            if client.get(target.path(f"builds/{build_id}"))["status"] == "queued":
                output.note(f"Build {build_id} waits for its turn.")


def app_log(client: Client, target: Target, lines: int) -> Iterator[dict[str, str]]:
    """Lines of the app's log, the last `lines` and then each as it comes, every one once; never ends by itself.

    A connection that breaks is made again from where it broke; CliError when that fails for a minute, when the
    first cannot be made, or when the server refuses.
    """
    after, broken_at = "", time.monotonic() - GIVE_UP_SECONDS
    while True:
        try:
            with client.events(target.stream("log/"), after, lines=lines) as events:
                for event in events:
                    broken_at = 0.0
                    if event.name == "gone":
                        raise CliError("you may not read this log any more", "Ask an owner of the tenant.")
                    yield from _lines_in(event)
                    after = event.id or after
            reason = "the server ended it"
        except Broken as error:
            reason = str(error)
        broken_at = broken_at or time.monotonic()
        if time.monotonic() - broken_at > GIVE_UP_SECONDS:
            raise CliError(f"the log cannot be followed: {reason}", "Check that Berth is running there.")
        time.sleep(POLL_SECONDS)


def _lines_in(event: Event) -> Iterator[dict[str, str]]:
    if event.name == "lines":
        for container, at, stream, text in event.data:
            yield {"at": at, "container": container, "stream": stream, "text": text}
    elif event.name == "skipped":
        yield {
            "at": "",
            "container": "berth",
            "stream": "berth",
            "text": "lines before this are not kept any more",
        }


def release(client: Client, target: Target, version: int) -> dict[str, Any]:
    """The release once it is live, else CliError with the reason and the end of its log."""
    began = time.monotonic()
    while True:
        found: dict[str, Any] = client.get(target.path(f"releases/{version}"))
        if found["status"] not in UNDER_WAY:
            break
        pause(began)
    if found["status"] in ("live", "retired"):
        return found
    if found["status"] == "superseded":
        raise CliError(f"v{version} was overtaken by a later release before it was live", "See berth releases.")
    raise _failed(found)


def _failed(found: dict[str, Any]) -> CliError:
    error = found["error"] or {}
    details = error.get("details", {})
    # Of a container that was not ready its log is kept, of a release command its output.
    lines = details.get("log") or details.get("output") or []
    summary = f"v{found['version']} is not live: {error.get('summary', 'no reason given')}"
    return CliError(summary, error.get("hint", ""), lines[-20:])
