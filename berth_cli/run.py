"""One-off commands: run one and stay with it, look at those before."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from berth_cli import output
from berth_cli.client import Client
from berth_cli.errors import CliError, Unreachable
from berth_cli.options import AppName, Json, connect_to
from berth_cli.target import Target

runs = typer.Typer(help="Commands that were run once.", no_args_is_help=True)
GOING = ("queued", "running")
INTERRUPTED = 130
POLL_FIRST, POLL_MOST = 0.1, 0.5
GIVE_UP_SECONDS = 60.0
_COMMAND = f"{__name__}.command"
Print = Callable[[dict[str, Any]], None]
NamedApp = Annotated[str | None, typer.Argument(metavar="[TENANT/]APP", help="As --app", show_default=False)]
RunId = Annotated[str | None, typer.Argument(metavar="RUN", help="Its id; the newest if not given")]


class AfterDashes(TyperCommand):
    """Whatever stands after the first `--` is the command that is run, options and further dashes included."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            args, ctx.meta[_COMMAND] = args[:at], args[at + 1 :]
        return super().parse_args(ctx, args)


def run(
    context: typer.Context,
    name: NamedApp = None,
    *,
    app: AppName = None,
    time_limit: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="When it is ended; the server's limit if not given")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start it and do not wait for its end")] = False,
    json: Json = False,
) -> None:
    """Run a command once, beside the app: same image, config and limits. Its exit code becomes this one's."""
    command = context.meta.get(_COMMAND)
    if not command:
        raise typer.BadParameter("there is no command after --, as in: berth run -- python manage.py migrate")
    client, target = connect_to(name or app)
    with _interrupts() as asked:
        started = client.post(target.path("runs"), {"command": command, "time_limit": time_limit})
        if no_wait:
            _tell(
                json,
                started,
                f"Run {started['id']} is {started['status']}. See it: berth runs log {started['id']}",
            )
            return
        ended = _attend(client, target, started["id"], asked, _both if json else _apart)
    if json:
        output.as_json(ended)
    raise typer.Exit(_status(ended, interrupted=asked()))


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Whether the person asked to stop: told between requests, so that none is cut in the middle and the run
    that it started is known. A second Ctrl-C leaves at once."""
    count = 0

    def note(number: int, frame: object) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield lambda: count > 0
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _attend(
    client: Client, target: Target, run_id: str, asked: Callable[[], bool], show: Print
) -> dict[str, Any]:
    """Show what it prints until it has ended; stop it when asked to."""
    after, pause, stopping = "", POLL_FIRST, False
    while True:
        if asked() and not stopping:
            stopping = True
            _stop(client, target, run_id)
        piece = _patiently(client, target.path(f"runs/{run_id}/log"), after=after)
        _show(piece, show)
        after = piece["next"]
        if piece["done"]:
            ended: dict[str, Any] = _patiently(client, target.path(f"runs/{run_id}"))
            return ended
        pause = POLL_FIRST if piece["lines"] else min(pause * 1.5, POLL_MOST)
        time.sleep(0 if len(piece["lines"]) > 100 else pause)


def _patiently(client: Client, path: str, **params: Any) -> Any:
    """A command outlives a restart of the server, so who waits for it does: for a minute."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            return client.get(path, **params)
        except Unreachable:
            if time.monotonic() > give_up:
                raise
            time.sleep(POLL_MOST)


def _stop(client: Client, target: Target, run_id: str) -> None:
    output.note("Stopping the command. Press Ctrl-C again to leave that to the server.")
    try:
        client.post(target.path(f"runs/{run_id}/cancel"))
    except CliError as error:  # it may have ended in this moment
        output.note(error.summary)


def _show(piece: dict[str, Any], show: Print) -> None:
    if piece["skipped"]:
        output.note("Lines before these are not kept any more.")
    for line in piece["lines"]:
        show(line)


def _apart(line: dict[str, Any]) -> None:
    """What the command wrote to stderr goes to stderr, as do Berth's own remarks."""
    print(_text(line), file=sys.stdout if line["stream"] == "stdout" else sys.stderr, flush=True)


def _both(line: dict[str, Any]) -> None:
    print(_text(line), file=sys.stderr, flush=True)


def _text(line: dict[str, Any]) -> str:
    more = f" [and {line['cut']:,} more characters]" if line["cut"] else ""
    return output.inert(line["text"]) + more


def _status(ended: dict[str, Any], *, interrupted: bool) -> int:
    """The command's own exit code if it came to one by itself; else what stopped it is told."""
    if ended["output_dropped"]:
        output.note(
            f"{ended['output_dropped']:,} bytes of its log were dropped: they came too fast to be kept."
        )
    if ended["status"] == "exited":
        if "exited" not in ended["reason"]:  # 137 alone says neither who killed it nor why
            output.note(f"The command {ended['reason']}.")
        return int(ended["exit_code"])
    if ended["status"] == "cancelled":
        output.note("The command was stopped.")
        return INTERRUPTED if interrupted else 1
    if ended["status"] == "timed-out":
        output.error(f"the command was ended after {ended['time_limit']} seconds, which is its time limit")
        return 1
    error = ended["error"] or {}
    output.error(error.get("summary", "no reason given"), error.get("hint", ""))
    return 1


# --- those before
@runs.command("list")
def list_runs(app: AppName = None, json: Json = False) -> None:
    """Commands, newest first."""
    client, target = connect_to(app)
    found = client.get(target.path("runs"))
    if json:
        output.as_json(found)
        return
    rows = [
        (r["id"], _outcome(r), f"v{r['version']}", r["command"], r["created_by"], output.when(r["created_at"]))
        for r in found
    ]
    output.table(("RUN", "STATE", "RELEASE", "COMMAND", "BY", "WHEN"), rows)


@runs.command("log")
def log(run: RunId = None, app: AppName = None, json: Json = False) -> None:
    """What a command printed, and goes on to print until it ends. With --json, one object a line."""
    client, target = connect_to(app)
    show = output.as_json_line if json else _apart
    _attend(client, target, run or _newest(client, target), lambda: False, show)


@runs.command("cancel")
def cancel(run: RunId = None, app: AppName = None, json: Json = False) -> None:
    """Stop a command that waits or runs."""
    client, target = connect_to(app)
    found = run or _newest(client, target)
    ended = client.post(target.path(f"runs/{found}/cancel"))
    _tell(json, ended, f"Run {found} is being stopped." if ended["status"] == "running" else "Cancelled.")


def _outcome(run: dict[str, Any]) -> str:
    return f"exit {run['exit_code']}" if run["status"] == "exited" else str(run["status"])


def _newest(client: Client, target: Target) -> str:
    found = client.get(target.path("runs"), limit=1)
    if not found:
        raise CliError(f"{target} has run no command yet", "Run one: berth run -- COMMAND")
    return str(found[0]["id"])


def _tell(json: bool, data: Any, text: str) -> None:
    if json:
        output.as_json(data)
    else:
        output.line(text)
