"""Commands about builds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from berth_cli import follow, output
from berth_cli.apps import address_of
from berth_cli.archive import CHUNK, Archive, opened
from berth_cli.client import Client
from berth_cli.errors import CliError, NotHere
from berth_cli.options import AppName, Json, NoWait, connect, connect_to
from berth_cli.pack import pack
from berth_cli.target import Target, find

builds = typer.Typer(help="Builds of an app.", no_args_is_help=True)
ASK_FROM = 1024 * 1024  # bytes of an archive


def deploy(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The app's folder, or an archive of it or of its image")
    ] = Path(),
    app: AppName = None,
    image: Annotated[
        str | None, typer.Option(help="An image in a registry instead: registry.example/shop:v1")
    ] = None,
    json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Pack a folder, build it, and wait until it is live. .gitignore and .dockerignore are honoured.

    An archive (.tar.gz, .tar, .zip) is sent as it is; one of an image, as docker save writes it, is not built.
    """
    client = connect()
    target = find(client, app, path if path.is_dir() else None)
    if image is not None:
        build = client.post(target.path("deploys/image"), {"image": image})
    else:
        build = _send(client, target, path)
    if no_wait:
        _tell(json, {"build": build}, _begun(build))
        return
    _follow(client, target, build, json=json)


def _begun(build: dict[str, Any]) -> str:
    if build.get("serving"):
        return _nothing_to_do(build)
    if build["status"] == "succeeded":
        return f"Nothing changed since v{build['unchanged_since']}: released as v{build['version']}."
    return f"Build {build['id']} is queued."


def _nothing_to_do(build: dict[str, Any]) -> str:
    return f"Nothing changed: v{build['serving']} serves just this already. To start it anew: berth restart"


def _send(client: Client, target: Target, path: Path) -> dict[str, Any]:
    """A folder is packed first."""
    if path.is_file():
        with opened(path) as (file, archive):
            return _build(client, target, path, file, archive)
    with tempfile.TemporaryFile() as file:
        packed = pack(path, file)
        output.note(f"Packed {packed.files} files of {path.resolve()} ({packed.archive.size:,} bytes).")
        if note := packed.installed.note():
            output.note(note)
        return _build(client, target, path, file, packed.archive)


def _build(client: Client, target: Target, path: Path, file: BinaryIO, archive: Archive) -> dict[str, Any]:
    known = build_known(client, target, archive)
    if known is not None:
        output.note("The server has this already: it is not sent.")
        return known
    return _upload(client, target, path, file, archive)


def build_known(client: Client, target: Target, archive: Archive) -> dict[str, Any] | None:
    """A build of the archive that the server has of a deploy before; None where it has to be sent, or is sent
    as soon as asked for: the server knows it by itself then."""
    if archive.size < ASK_FROM:
        return None
    try:
        build: dict[str, Any] = client.post(target.path("deploys/source"), {"digest": archive.digest})
    except NotHere:
        return None
    return build


def _follow(client: Client, target: Target, build: dict[str, Any], *, json: bool) -> None:
    show = output.note if json else output.line
    if build.get("serving"):
        show(_nothing_to_do(build))
    elif build["status"] == "succeeded":
        show(f"Nothing changed since v{build['unchanged_since']}: built from what is here.")
    else:
        try:
            build = follow.build(client, target, build["id"], partial(output.text, aside=json))
        except KeyboardInterrupt:
            output.note(f"The build goes on. To cancel it: berth builds cancel {build['id']} --app {target}")
            raise
    if build["version"] is None:
        raise CliError("a later deploy was released before this one was built", "See berth releases.")
    release = follow.release(client, target, build["version"])
    served = client.get(target.path())
    text = f"v{release['version']} is live at {address_of(served)}"
    _tell(json, {"build": build, "release": release, "address": served["address"]}, text)


@builds.command("list")
def list_builds(app: AppName = None, json: Json = False) -> None:
    """Builds, newest first."""
    client, target = connect_to(app)
    found = client.get(target.path("builds"))
    if json:
        output.as_json(found)
        return
    rows = [(b["id"], b["status"], b["source"], b["created_by"], output.when(b["created_at"])) for b in found]
    output.table(("BUILD", "STATUS", "SOURCE", "BY", "WHEN"), rows)


@builds.command("cancel")
def cancel_build(
    build: Annotated[
        str | None, typer.Argument(metavar="BUILD", help="Its id; the newest if not given")
    ] = None,
    app: AppName = None,
    json: Json = False,
) -> None:
    """Cancel a build that waits or runs."""
    client, target = connect_to(app)
    found = build or _newest(client, target)
    ended = client.post(target.path(f"builds/{found}/cancel"))
    _tell(json, ended, f"Build {found} is being cancelled." if ended["status"] == "running" else "Cancelled.")


def _newest(client: Client, target: Target) -> str:
    found = client.get(target.path("builds"), limit=1)
    if not found:
        raise CliError(f"{target} has no builds", "Start one: berth deploy")
    return str(found[0]["id"])


def _upload(client: Client, target: Target, path: Path, file: BinaryIO, archive: Archive) -> dict[str, Any]:
    columns = (TextColumn("Uploading"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=output.err, transient=True) as progress:
        task = progress.add_task("upload", total=archive.size)

        def chunks() -> Iterator[bytes]:
            while chunk := file.read(CHUNK):
                yield chunk
                progress.advance(task, len(chunk))

        response = client.send(
            "POST",
            target.path("deploys"),
            params={"name": path.resolve().name},
            content=chunks(),
            headers={"Content-Type": archive.media_type, "Content-Length": str(archive.size)},
        )
    build: dict[str, Any] = response.json()
    return build


def _tell(json: bool, data: Any, text: str) -> None:
    if json:
        output.as_json(data)
    else:
        output.line(text)
