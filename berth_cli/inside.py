"""Looking inside: an image's layers, files, packages and config, and how releases and containers differ."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

import typer

from berth_cli import output
from berth_cli.client import Client
from berth_cli.errors import CliError
from berth_cli.options import AppName, Json, NoWait, connect_to
from berth_cli.releases import finish
from berth_cli.target import Target

POLL_FIRST, POLL_MOST = 0.05, 0.5
GIVE_UP_SECONDS = 120.0
PROVENANCE = {
    "source": "source",
    "base": "base image",
    "builder": "builder",
    "version": "version of Berth",
    "built_at": "built",
    "changes_of": "changes of",
}
CONFIG = {
    "entrypoint": "entrypoint",
    "cmd": "command",
    "shell": "shell",
    "workdir": "working folder",
    "user": "user",
    "exposed_ports": "ports",
    "volumes": "volumes",
    "stop_signal": "stop signal",
}
TIMES = {"interval", "timeout", "start_period", "start_interval"}  # of a healthcheck, in seconds
ORIGIN_WIDTH = 17
SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def image(
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="A release, as v3; the newest if not given")
    ] = None,
    *,
    packages: Annotated[bool, typer.Option("--packages", help="List the packages inside")] = False,
    provenance: Annotated[bool, typer.Option("--provenance", help="Say where the image comes from")] = False,
    config: Annotated[
        bool, typer.Option("--config", help="Say how it is run, its environment and labels")
    ] = False,
    files: Annotated[bool, typer.Option("--files", help="List the files of each layer")] = False,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="LAYER", help="List the files of this layer only")
    ] = None,
    app: AppName = None,
    json: Json = False,
) -> None:
    """What a release's image is made of: its layers, the files or packages in it, its config, or its origin."""
    client, target = connect_to(app)
    release = f"releases/{_number(client, target, version)}"
    found = _ask(client, target, f"{release}/image")
    if files or layer:
        _show_files(client, target, release, _chosen(found["answer"]["layers"], layer), json)
    elif json:
        output.as_json(found)
    elif provenance:
        for name, value in _origin(found["answer"]["provenance"]):
            output.line(f"{name:<{ORIGIN_WIDTH}} {value}".rstrip())  # a table would cut digests
    elif config:
        output.table(("SETTING", "VALUE"), _config(found["answer"]["config"]))
    elif packages:
        rows = [(p["ecosystem"], p["name"], p["version"], p["place"]) for p in found["answer"]["packages"]]
        output.table(("KIND", "PACKAGE", "VERSION", "PLACE"), rows)
    else:
        layers = [
            (y["diff_id"][7:19], output.size(y["size"]), y["files"], y["others"], y["instruction"][:80])
            for y in reversed(found["answer"]["layers"])
        ]
        output.table(("LAYER", "SIZE", "FILES", "OTHER APPS", "MADE BY"), layers)


def _chosen(layers: list[dict[str, Any]], start: str | None) -> list[str]:
    """DiffIDs, the topmost first; only the one that begins so, or CliError."""
    known = [str(layer["diff_id"]) for layer in reversed(layers)]
    if start is None:
        return known
    found = [
        diff_id
        for diff_id in known
        if diff_id.removeprefix("sha256:").startswith(start.removeprefix("sha256:"))
    ]
    if len(set(found)) != 1:
        which = "several layers begin" if found else "no layer begins"
        raise CliError(f"{which} with {start!r}", "berth image lists the layers.")
    return found[:1]


def _show_files(client: Client, target: Target, release: str, layers: list[str], json: bool) -> None:
    """Each layer's as soon as it is known; as JSON, all in one list."""
    told = []
    for diff_id in layers:
        answer = _ask(client, target, f"{release}/layers/{diff_id}")["answer"]
        told.append({"layer": diff_id, **answer})
        if not json:
            output.line(f"{diff_id[7:19]}:")
            for file in answer["files"]:
                output.line(_file(file))
            if answer["more"]:
                output.line(f"and {answer['more']:,} more files")
    if json:
        output.as_json(told)


def _file(file: dict[str, Any]) -> str:
    if file["kind"] == "removed":
        return f"- /{file['path']}"
    target = f" -> {file['target']}" if file["target"] else "/" if file["kind"] == "folder" else ""
    return f"{file['mode']} {file['owner']:>11} {file['size']:>11,} /{file['path']}{target}"


def _origin(made: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Its source, its images, and the steps of each of its stages; where those are not known, its layers'."""
    yield from ((name, made[key]) for key, name in PROVENANCE.items() if made.get(key))
    yield from (("made from", f"{name}  {digest}") for name, digest in made.get("images", ()))
    recipe = made.get("recipe")
    if recipe is None:
        yield from (("step", step) for step, _ in made["steps"])
        return
    if recipe["target"]:
        yield "target", recipe["target"]
    yield from (("build arg", f"{name}={value}") for name, value in recipe["args"])
    for stage in recipe["stages"]:
        yield f"stage {stage['name']}", f"FROM {stage['base']}  {stage['digest']}"
        yield from (("", step) for step in stage["steps"])


def _config(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [(name, _text(found[key])) for key, name in CONFIG.items() if found.get(key)]
    for key, value in (found["healthcheck"] or {}).items():
        rows.append((f"healthcheck {key}", f"{value:g} s" if key in TIMES else _text(value)))
    rows += [(f"LABEL {name}", value) for name, value in found["labels"]]
    return rows + [(f"ENV {name}", value) for name, value in found["env"]]


def _text(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def diff(
    before: Annotated[
        str | None,
        typer.Argument(
            metavar="BEFORE",
            help="A release, as v3, or blog:v3 of another app, or base: its base image; else the one before",
        ),
    ] = None,
    after: Annotated[
        str | None, typer.Argument(metavar="AFTER", help="A release; the newest if not given")
    ] = None,
    container: Annotated[
        str | None,
        typer.Option(
            "--container", "-c", metavar="NAME", help="A running container, as web.1, against its image"
        ),
    ] = None,
    app: AppName = None,
    json: Json = False,
) -> None:
    """How two releases differ, or what one adds to its base image, or what a running container changed."""
    client, target = connect_to(app)
    if container:
        found = _ask(client, target, f"containers/{_container(client, target, container)}/changes")
    else:
        found = _compared(client, target, before, after)
    if json:
        output.as_json(found)
    else:
        _show(found)


def _compared(client: Client, target: Target, before: str | None, after: str | None) -> dict[str, Any]:
    later_of, later_version = _release(target, after)
    later = _number(client, later_of, later_version)
    if before == "base":
        return _ask(client, later_of, f"releases/{later}/compare/base")
    earlier_of, earlier_version = _release(target, before) if before else (later_of, str(later - 1))
    earlier = _number(client, earlier_of, earlier_version)
    if earlier < 1:
        raise CliError("there is no release before that one", "Name two: berth diff v1 v2")
    return _ask(client, later_of, f"releases/{later}/compare/{earlier}?before_app={quote(earlier_of.app)}")


def _release(target: Target, name: str | None) -> tuple[Target, str | None]:
    """`blog:v3` is of another app of the same tenant, `v3` of this one."""
    app, _, version = (name or "").rpartition(":")
    return (replace(target, app=app) if app else target), version or None


def commit(
    container: Annotated[str, typer.Argument(metavar="CONTAINER", help="A running container, as web.1")],
    app: AppName = None,
    json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Make a release of what a running container changed. The next deploy goes back to the source."""
    client, target = connect_to(app)
    path = f"containers/{_container(client, target, container)}/commit"
    finish(client, target, client.post(target.path(path))["release"], json, no_wait)


def _ask(client: Client, target: Target, question: str) -> dict[str, Any]:
    asked: dict[str, Any] = client.post(target.path(question))
    end, pause = time.monotonic() + GIVE_UP_SECONDS, POLL_FIRST
    while asked["status"] == "queued":
        if time.monotonic() > end:
            raise CliError("no worker has answered yet", "Ask again later.")
        time.sleep(pause)
        pause = min(pause * 1.5, POLL_MOST)
        asked = client.get(target.path(f"inspections/{asked['id']}"))
    if asked["status"] != "answered":
        error = asked["error"] or {}
        raise CliError(error.get("summary", "this could not be looked at"), error.get("hint", ""))
    return asked


def _number(client: Client, target: Target, version: str | None) -> int:
    if version is None:
        found = client.get(target.path("releases"))
        if not found:
            raise CliError(f"{target} has no release yet", "Deploy it first.")
        return int(found[0]["version"])
    number = version.removeprefix("v")
    if not number.isdecimal():
        raise CliError(f"{version!r} is not a release", "Name one as v3; see berth releases.")
    return int(number)


def _container(client: Client, target: Target, name: str) -> str:
    """The id of "web.1", or of the id itself."""
    rows = client.get(target.path("containers"))
    for row in rows:
        if name in (row["id"], f"{row['process']}.{row['index']}"):
            return str(row["id"])
    known = ", ".join(f"{row['process']}.{row['index']}" for row in rows) or "none"
    raise CliError(f"{target} has no running container {name}", f"Running: {known}")


def _show(found: dict[str, Any]) -> None:
    answer = found["answer"]
    for setting in found["settings"]:
        output.line(f"{setting['group']}: {setting['name']}: {_either(setting)}")
    for package in answer["packages"]:
        output.line(f"{package['ecosystem']} {package['name']}: {_either(package)}")
    for change in answer["files"]:
        output.line(f"{SIGNS[change['what']]} /{change['path']}{_what_changed(change)}")
        output.difference(change["text"].splitlines())
    if answer["more"]:
        output.line(f"and {answer['more']:,} more files")
    if not (found["settings"] or answer["packages"] or answer["files"]):
        output.line("No difference.")


def _what_changed(change: dict[str, Any]) -> str:
    before, after, aspects = change["before"], change["after"], change["aspects"]
    if change["what"] == "added" and after["target"]:
        return f" -> {after['target']}"
    if change["what"] != "changed":
        alone = before or after
        return f" ({alone['size']:,} bytes)" if alone["kind"] == "file" and not change["text"] else ""
    told = [
        _sizes(change)
        if name == "content"
        else f"{name} {_either({'before': before[name] or None, 'after': after[name] or None})}"
        for name in aspects
    ]
    return "" if told == ["content"] else f" ({', '.join(told)})"


def _sizes(change: dict[str, Any]) -> str:
    """Of a content that is not shown how large it was and is."""
    before, after = change["before"]["size"], change["after"]["size"]
    if change["text"]:
        return "content"
    return f"content, {before:,} -> {after:,} bytes" if before != after else f"content, {after:,} bytes"


def _either(pair: dict[str, Any]) -> str:
    before, after = ("none" if pair[side] is None else pair[side] for side in ("before", "after"))
    return f"{before} -> {after}"
