"""A tenant's network: what it may send, what it sent, and the names inside."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import quote

import typer

from berth_cli import output
from berth_cli.errors import CliError
from berth_cli.options import AnyTenant, Json, Tenant, connect
from berth_cli.target import only_tenant

POLICIES = {"open": "the internet", "list": "only what is listed", "none": "nothing"}
EXAMPLE = "An example: berth network set demo policy=list allow=192.0.2.0/24:443 rate=20M"
_BITS = {"K": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([KMG])")

network = typer.Typer(help="A tenant's network.", invoke_without_command=True)


@network.callback()
def show(
    context: typer.Context,
    tenant: Tenant = None,
    machine: AnyTenant = False,
    json: Json = False,
) -> None:
    """What the tenant's containers may reach and have sent, and their internal names."""
    if context.invoked_subcommand is not None:
        return
    client = connect()
    _show(client.get(_path(tenant or only_tenant(client), "machine/" if machine else "")), json)


@network.command("set")
def set_rules(
    tenant: Annotated[str, typer.Argument(metavar="TENANT")],
    rules: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE",
            help="policy=open, list or none; allow=NETWORK[:PORT],…; rate=20M (bits a second) or none",
        ),
    ],
    json: Json = False,
) -> None:
    """Change what a tenant may send out of the machine, for what runs as well. For administrators."""
    changes = _changes(rules)
    client, path = connect(), _path(tenant, "machine/")
    before = client.get(path)
    found = client.put(path, {name: before[name] for name in ("policy", "listed", "rate")} | changes)
    _show(found, json)
    if json:
        return
    if "listed" in changes and found["policy"] != "list":
        output.note(f"Note: the list holds with policy=list, and the policy is {found['policy']}.")
    if not found["applied"]:
        output.note(f"It is being applied. To see what is in force: berth network --machine -t {tenant}")


def _changes(rules: list[str]) -> dict[str, Any]:
    """In the words and units of the API."""
    given: dict[str, str] = {}
    for written in rules:
        name, equals, value = written.partition("=")
        if not equals or name not in ("policy", "allow", "rate"):
            raise CliError(f"{written!r} is none of policy=…, allow=… and rate=…", EXAMPLE)
        if name in given:
            hint = "Write all networks into one, between commas." if name == "allow" else "Give each once."
            raise CliError(f"{name} is given twice: {given[name]} and {value}", hint)
        given[name] = value
    changes: dict[str, Any] = {}
    if "policy" in given:
        changes["policy"] = _policy(given["policy"])
    if "allow" in given:
        changes["listed"] = [where.strip() for where in given["allow"].split(",") if where.strip()]
    if "rate" in given:
        changes["rate"] = _bytes(given["rate"])
    return changes


def _policy(text: str) -> str:
    if text not in POLICIES:
        told = ", ".join(f"{name} ({reaches})" for name, reaches in POLICIES.items())
        raise CliError(f"there is no policy {text!r}", f"Choose one: {told}.")
    return text


def _bytes(text: str) -> int:
    """A second, of bits as people write them. 0 is no limit."""
    if text in ("0", "none"):
        return 0
    found = _RATE.fullmatch(text)
    if found is None:
        raise CliError(
            f"rate={text} is not a rate", "Write bits a second: 20M, 1.5G or 500K; none is no limit."
        )
    return int(Decimal(found[1]) * _BITS[found[2]] / 8)


def _path(tenant: str, below: str) -> str:
    return f"{below}tenants/{quote(tenant, safe='')}/network"


def _show(row: dict[str, Any], json: bool) -> None:
    if json:
        output.as_json(row)
        return
    traffic = row["traffic"]
    refused = ", ".join(f"{packets:,} {why}" for why, packets in traffic["refused"].items() if packets)
    rows = [
        ("may reach", POLICIES[row["policy"]]),
        *(("", where) for where in row["listed"] if row["policy"] == "list"),
        ("rate", output.rate(row["rate"])),
        ("in force", _held(row)),
        ("sent", f"{traffic['sent_bytes']:,} bytes in {traffic['sent_packets']:,} packets"),
        ("received", f"{traffic['received_bytes']:,} bytes in {traffic['received_packets']:,} packets"),
        ("refused", f"{refused or 'no'} packets"),
        ("counted", _counted(traffic["counted_at"])),
        *(("name" if not place else "", f"http://{name}") for place, name in enumerate(row["names"])),
    ]
    output.table(("NETWORK", row["tenant"]), rows)
    if row["error"]:
        output.note(f"Not in force: {row['error']}")


def _held(row: dict[str, Any]) -> str:
    held = row["held"]
    if not held["policy"]:
        return "not known yet"
    told = f"{POLICIES[held['policy']]}, {output.rate(held['rate'])}"
    return told if row["applied"] or row["error"] else f"{told}; what was set is being applied"


def _counted(at: str | None) -> str:
    return f"{output.when(at)} UTC; more shows within a minute" if at else "not yet"
