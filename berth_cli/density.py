"""Who holds how much of the machine, and how much more fits."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from berth_cli import output
from berth_cli.options import Json, connect


def density(
    *,
    by: Annotated[str, typer.Option("--by", help="tenant, app or process")] = "tenant",
    sort: Annotated[
        str, typer.Option("--sort", help="used, reserved, unshared, swap, cpu, io, stalled or name")
    ] = "used",
    size: Annotated[int, typer.Option("--size", help="What one more app needs when awake, in MiB")] = 64,
    asleep: Annotated[int, typer.Option("--asleep", help="How many of a hundred of them sleep")] = 80,
    limit: Annotated[int, typer.Option("--limit", help="Rows, up to 200")] = 50,
    json: Json = False,
) -> None:
    """Memory by tenant, app or process, and how many more apps fit. For administrators."""
    found = connect().get("machine/density", by=by, sort=sort, size=size, asleep=asleep, limit=limit)
    if json:
        output.as_json(found)
        return
    output.table(
        ("NAME", "CONTAINERS", "ASLEEP", "WORKING SET", "PROMISED", "UNSHARED", "SWAPPED", "BETTER LIMIT"),
        [_row(row) for row in found["rows"]],
    )
    output.note(
        f"Promised {output.mib(found['reserved'])} of {output.mib(found['memory'])} "
        f"({found['overcommit']:.2f} times), {output.mib(found['available'])} can still be given. "
        f"{found['fits']:,} more apps of {size} MiB fit, if {asleep}% of them sleep."
    )
    if found["disk"]:  # else not measured yet
        output.note(
            f"All tenants' disks may grow to {output.gib(found['disk_promised'])} of the machine's "
            f"{output.gib(found['disk'])} ({found['disk_promised'] / found['disk']:.2f} times)."
        )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        " ".join(part for part in (f"{row['tenant']}/{row['app']}".rstrip("/"), row["process"]) if part),
        str(row["containers"]),
        str(row["asleep"]),
        output.mib(row["used"]),
        output.mib(row["reserved"]),
        "-" if row["unshared"] is None else output.mib(row["unshared"]),
        output.mib(row["swap"]),
        output.mib(row["advice"]) if row["advice"] else "-",
    )
