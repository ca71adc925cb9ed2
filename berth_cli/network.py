"""A tenant's network: what it may send, what it sent, and the names inside."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from berth_cli import output
from berth_cli.options import Json, connect
from berth_cli.target import only_tenant

POLICIES = {"open": "the internet", "list": "only what is listed", "none": "nothing"}
Tenant = Annotated[str | None, typer.Option("--tenant", "-t", help="Yours, if you are in one only")]


def network(tenant: Tenant = None, json: Json = False) -> None:
    """What the tenant's containers may reach and have sent, and their internal names."""
    client = connect()
    row: dict[str, Any] = client.get(f"tenants/{tenant or only_tenant(client)}/network")
    if json:
        output.as_json(row)
        return
    traffic = row["traffic"]
    refused = ", ".join(f"{packets:,} {why}" for why, packets in traffic["refused"].items() if packets)
    rows = [
        ("may reach", POLICIES[row["policy"]]),
        *(("", where) for where in row["listed"] if row["policy"] == "list"),
        ("rate", _rate(row["rate"])),
        ("in force", f"{POLICIES.get(row['held']['policy'], 'not known yet')}, {_rate(row['held']['rate'])}"),
        ("sent", f"{traffic['sent_bytes']:,} bytes in {traffic['sent_packets']:,} packets"),
        ("received", f"{traffic['received_bytes']:,} bytes in {traffic['received_packets']:,} packets"),
        ("refused", f"{refused or 'no'} packets"),
        *(("name" if not place else "", f"http://{name}") for place, name in enumerate(row["names"])),
    ]
    output.table(("NETWORK", row["tenant"]), rows)
    if row["error"]:
        output.note(f"Not in force: {row['error']}")


def _rate(rate: int) -> str:
    return f"{rate * 8 / 1_000_000:g} Mbit/s" if rate else "no limit"
