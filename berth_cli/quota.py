"""What a tenant may use, and what it is held to."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from berth_cli import output
from berth_cli.options import Json, Tenant, connect
from berth_cli.target import only_tenant


def quota(tenant: Tenant = None, json: Json = False) -> None:
    """A tenant's limits: set, in force as the kernel tells it, and in use."""
    client = connect()
    found = client.get(f"tenants/{quote(tenant or only_tenant(client), safe='')}/quota")
    if json:
        output.as_json(found)
        return
    output.table(("LIMIT", "SET", "IN FORCE", "IN USE", ""), [_row(limit) for limit in found["limits"]])
    if found["error"]:
        output.note(f"Not in force as it was set: {found['error']}")


def _row(limit: dict[str, Any]) -> tuple[str, ...]:
    unit = limit["unit"]
    effective = _amount(limit["effective"], unit) if limit["known"] else "-"
    used = "-" if limit["used"] is None else _amount(limit["used"], unit)
    return limit["name"], _amount(limit["asked"], unit), effective, used, limit["why"]


def _amount(value: int | None, unit: str) -> str:
    if value is None:
        return "no limit"
    if unit == "cpu":
        return f"{value / 1000:g} cores"
    text = output.mib(value) if unit.startswith("bytes") else f"{value:,}"
    return f"{text}/s" if unit.endswith("a second") else text
