"""Commands that show and change what runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from berth_cli import follow, output
from berth_cli.client import Client
from berth_cli.errors import CliError
from berth_cli.options import AppName, Json, NoWait, connect_to
from berth_cli.target import Target

VarName = Annotated[str, typer.Argument(metavar="NAME")]
VarNames = Annotated[list[str], typer.Argument(metavar="NAME")]
config = typer.Typer(help="Config vars of an app.", invoke_without_command=True)


def releases(app: AppName = None, json: Json = False) -> None:
    """Releases, newest first."""
    client, target = connect_to(app)
    found = client.get(target.path("releases"))
    if json:
        output.as_json(found)
        return
    columns = ["RELEASE", "STATUS", "WHAT", "BY", "WHEN"]
    rows = [
        [f"v{r['version']}", r["status"], r["note"], r["created_by"], output.when(r["created_at"])]
        for r in found
    ]
    images = [_image(release) for release in found]
    if any(images):  # of most there is nothing to tell, and a terminal is narrow
        columns.append("IMAGE")
        rows = [[*row, image] for row, image in zip(rows, images, strict=True)]
    output.table(columns, rows)


def _image(release: dict[str, Any]) -> str:
    commit = f"commit of {release['commit']}" if release["commit"] else ""
    gone = "" if release["image_kept"] else "no longer kept" if release["image"] else "none"
    return ", ".join(filter(None, (commit, gone)))


def rollback(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The release to go back to, as v3 or 3")],
    app: AppName = None,
    json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Go back to a release: its code and its config, as a new release."""
    number = version.removeprefix("v")
    if not number.isdecimal():
        raise CliError(f"{version!r} is not a release", "Name one as v3; see berth releases.")
    client, target = connect_to(app)
    made = client.post(target.path("releases/rollback"), {"version": int(number)})
    finish(client, target, made, json, no_wait)


def restart(app: AppName = None, json: Json = False, no_wait: NoWait = False) -> None:
    """Start all containers afresh, without an interruption."""
    client, target = connect_to(app)
    finish(client, target, client.post(target.path("restart")), json, no_wait)


def scale(
    counts: Annotated[
        list[str], typer.Argument(metavar="TYPE=COUNT", help="How many of each, as web=2 worker=1")
    ],
    app: AppName = None,
    json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Set how many containers of each process type run."""
    formation = {}
    for count in counts:
        name, _, number = count.partition("=")
        if not name or not number.isdecimal():
            raise CliError(f"{count!r} is not TYPE=COUNT", "An example: berth scale web=2")
        formation[name] = int(number)
    client, target = connect_to(app)
    made = client.post(target.path("scale"), {"formation": formation})["release"]
    finish(client, target, made, json, no_wait)


def ps(app: AppName = None, json: Json = False) -> None:
    """Containers and what they use."""
    client, target = connect_to(app)
    found = client.get(target.path("containers"))
    if json:
        output.as_json(found)
        return
    rows = [
        (
            f"{c['process']}.{c['index']}",
            _state(c),
            f"v{c['version']}" if c["version"] else "",
            f"{output.size(c['memory_bytes'])} of {_limit(c)}",
            f"{c['cpu_millis'] / 10:.0f} %",
            c["reason"] or _killed(c),
        )
        for c in (*found, *_not_started(found, client.get(target.path("containers"), past=True)))
    ]
    output.table(("CONTAINER", "STATE", "RELEASE", "MEMORY", "CPU", "REASON"), rows)
    if any(_killed(c) for c in found):
        output.note(
            "Out of memory: give it more in berth.toml, or have it use less. If it was below its limit, all of "
            "its tenant's memory was in use: see berth quota."
        )


def _killed(container: dict[str, Any]) -> str:
    """Of its processes, while it went on."""
    kills = container["oom_kills"]
    if not kills:
        return ""
    what = "a process was killed" if kills == 1 else f"{kills} processes were killed"
    return f"{what}: out of memory, {'' if kills == 1 else 'last '}{output.when(container['oom_killed_at'])}"


def _not_started(live: list[dict[str, Any]], past: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of each process that does not run now the last try, where that could not even start. Newest first."""
    told = {(c["process"], c["index"]) for c in live}
    for container in past:
        slot = (container["process"], container["index"])
        if slot not in told and container["started_at"] is None:
            yield container
        told.add(slot)


def _state(container: dict[str, Any]) -> str:
    if container["status"] == "sleeping":
        return "asleep"
    return "ready" if container["ready"] else str(container["status"])


def _limit(container: dict[str, Any]) -> str:
    """In force, and what its release asks for, if that is another."""
    limit, asked = container["memory_limit"], container["memory_asked"]
    return (
        output.exact(limit) if asked in (None, limit) else f"{output.exact(limit)} (was {output.exact(asked)})"
    )


def logs(
    app: AppName = None,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="LINES", min=1, max=1000, help="How many to begin with")
    ] = 100,
    json: Json = False,
) -> None:
    """What the app's containers print. With --json, one object a line."""
    client, target = connect_to(app)
    found: Iterable[dict[str, Any]]
    if follow_on:
        found = follow.app_log(client, target, lines)
    else:
        found = client.get(target.path("logs"), lines=lines)["lines"]
    for item in found:
        _print_line(item, json)


def _print_line(item: dict[str, Any], json: bool) -> None:
    if json:
        output.as_json_line(item)
    else:
        output.text(f"{output.when(item['at'])} {item['container']} {item['text']}")


# --- config vars
@config.callback()
def list_config(context: typer.Context, app: AppName = None, json: Json = False) -> None:
    """Config vars, as NAME=VALUE."""
    if context.invoked_subcommand is not None:
        return
    client, target = connect_to(app)
    found = client.get(target.path("config"))
    if json:
        output.as_json({var["key"]: var["value"] for var in found})
        return
    for var in found:
        output.line(f"{var['key']}={'(hidden)' if var['value'] is None else var['value']}")


@config.command("get")
def get_config(name: VarName, app: AppName = None, json: Json = False) -> None:
    """The value of one config var."""
    client, target = connect_to(app)
    found = {var["key"]: var["value"] for var in client.get(target.path("config"))}
    if name not in found:
        raise CliError(f"{target} has no config var {name}", "See berth config.")
    if found[name] is None:
        raise CliError(
            f"as a viewer you see the names of config vars only, not {name}", "Ask an owner for more."
        )
    if json:
        output.as_json({name: found[name]})
    else:
        print(found[name])  # exactly, so that a script can use it


@config.command("set")
def set_config(
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE")],
    app: AppName = None,
    json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Set config vars; a running app gets them in a new release."""
    pairs = [value.partition("=") for value in values]
    wrong = next((name for name, equals, _ in pairs if not equals), None)
    if wrong is not None:
        raise CliError(f"{wrong!r} is not NAME=VALUE", "An example: berth config set DEBUG=1")
    _change(app, {name: value for name, _, value in pairs}, json, no_wait)


@config.command("unset")
def unset_config(names: VarNames, app: AppName = None, json: Json = False, no_wait: NoWait = False) -> None:
    """Remove config vars."""
    _change(app, dict.fromkeys(names), json, no_wait)


def _change(app: str | None, changes: dict[str, Any], json: bool, no_wait: bool) -> None:
    client, target = connect_to(app)
    made = client.patch(target.path("config"), {"changes": changes})["release"]
    finish(client, target, made, json, no_wait)


def finish(client: Client, target: Target, made: dict[str, Any] | None, json: bool, no_wait: bool) -> None:
    """Wait until the release is live; None means that no release was needed."""
    if made is not None and not no_wait:
        made = follow.release(client, target, made["version"])
    if json:
        output.as_json({"release": made})
    elif made is None:
        output.line("Saved. Nothing had to be restarted.")
    else:
        output.line(f"v{made['version']} ({made['note']}) is {made['status']}.")
