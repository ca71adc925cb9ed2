"""The machine's image store: for its administrators, and an app's part of it for its members."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from berth_cli import output
from berth_cli.client import Client
from berth_cli.errors import CliError
from berth_cli.options import AppName, Json, connect, connect_to

store = typer.Typer(
    help="The image store: what is in it and whose it is, and its upkeep.", no_args_is_help=True
)
UPKEEP = "machine/store/upkeep"
POLL_SECONDS = 0.5
WAIT_SECONDS = 3600.0
OUTCOMES = {
    "": "not mended",
    "rebuilt": "mended, from a copy here",
    "fetched": "mended, from elsewhere",
    "removed": "lost: taken out of use",
}
SPARED = "What was made within the last two hours is spared (less of it where the disk is almost full)."
SHARES = ("IMAGES", "SHARED", "NOBODY ELSE HAS")


@store.command("show")
def show(json: Json = False) -> None:
    """Sizes, and what each tenant's images take. For administrators."""
    found = connect().get("machine/store")
    if json:
        output.as_json(found)
        return
    output.line(
        f"{found['layers']} layers, {output.size(found['layer_bytes'])} "
        f"({output.size(found['unshared_bytes'])} if nothing were shared); "
        f"{found['blobs']} blobs, {output.size(found['blob_bytes'])}"
    )
    output.table(("TENANT", *SHARES), [_shares(tenant) for tenant in found["tenants"]])
    _note_when(found)


@store.command("app")
def show_app(app: AppName = None, json: Json = False) -> None:
    """What an app's images take, and each of its releases that are kept."""
    client, target = connect_to(app)
    found = client.get(target.path("store"))
    if json:
        output.as_json(found)
        return
    output.table(("OWNER", *SHARES), [_shares(owner) for owner in (found, *found["releases"])])
    _note_when(found)


def _shares(owner: dict[str, Any]) -> tuple[str, str, str, str]:
    size, unique = owner["bytes"], owner["unique_bytes"]
    if size is None:
        return owner["name"], "not measured yet", "", ""
    return owner["name"], output.size(size), output.size(size - unique), output.size(unique)


def _note_when(found: dict[str, Any]) -> None:
    if found["seen_at"]:
        output.note(f"As of {output.when(found['seen_at'])} UTC; it is measured every few minutes.")
    else:
        output.note("Nothing has been measured yet: figures appear within minutes of the agent's start.")


@store.command("prune")
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would free")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
    json: Json = False,
) -> None:
    """Remove images, layers and build steps that nothing needs; says first what that would free."""
    client = connect()
    told = _done(client, "look")
    if not json or not dry_run:
        output.note(f"A prune would free {_freed(told['report'])}. {SPARED}")
    if not dry_run:
        if not yes and not typer.confirm("Prune?", err=True):
            raise CliError("nothing was pruned")
        told = _done(client, "prune")
    if json:
        output.as_json(told)
    elif not dry_run:
        output.line(f"Freed {_freed(told['report'])}.")


@store.command("check")
def check(
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend what can be mended, take the rest out of use")
    ] = False,
    json: Json = False,
) -> None:
    """Read everything and look for damage. Exit status 1 where some is not mended, or could not be."""
    client = connect()
    told = _done(client, "mend" if mend else "check")
    damage = told["report"]["damage"]
    if json:
        output.as_json(told)
    elif not damage:
        read = client.get("machine/store")
        output.line(f"No damage: {read['layers']:,} layers and {read['blobs']:,} blobs read.")
    else:
        rows = [
            (d["kind"], d["id"][:19], d["what"], OUTCOMES[d["outcome"]], ", ".join(d["releases"]))
            for d in damage
        ]
        output.table(("KIND", "ID", "WHAT", "OUTCOME", "RELEASES"), rows)
    if damage and not mend:
        raise CliError(f"{len(damage)} damaged", "Mend it: berth store check --mend")
    if lost := [d for d in damage if d["outcome"] == "removed"]:
        raise CliError(
            f"{len(lost)} of {len(damage)} could not be mended: taken out of use",
            _remedy(lost, told["report"]["building"]),
        )


def _remedy(lost: list[dict[str, Any]], building: list[str]) -> str:
    others = dict.fromkeys(name for one in lost for name in one["releases"] if name not in building)
    built = f"Being built again from their sources: {', '.join(building)}. " if building else ""
    again = f"Deploy again, or it may not start again: {', '.join(others)}. " if others else ""
    what_runs = f"What runs goes on. {built}{again}" if built or again else ""
    return what_runs + "Base images: bin/up makes Berth's own anew; load others again."


def _done(client: Client, kind: str) -> dict[str, Any]:
    row: dict[str, Any] = client.post(UPKEEP, {"kind": kind})
    end = time.monotonic() + WAIT_SECONDS
    while row["status"] in ("queued", "running"):
        if time.monotonic() > end:
            raise CliError("it has not ended yet", "Look at its report later, on the machine's page.")
        time.sleep(POLL_SECONDS)
        row = client.get(f"{UPKEEP}/{row['id']}")
    if row["error"]:
        raise CliError(row["error"]["summary"], row["error"]["hint"])
    return row


def _freed(report: dict[str, Any]) -> str:
    return (
        f"{output.size(report['bytes'])}: {report['layers']} layers ({output.size(report['layer_bytes'])}), "
        f"{report['blobs']} blobs ({output.size(report['blob_bytes'])}), "
        f"{report['abandoned']} left by interrupted work ({output.size(report['abandoned_bytes'])}), "
        f"{report['steps']} build steps"
    )
