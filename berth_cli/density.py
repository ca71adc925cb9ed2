"""Who holds how much of the machine, and how much more fits."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from berth_cli import output
from berth_cli.options import Json, connect

NAME = ("NAME", "CONTAINERS", "ASLEEP")
MEMORY = (*NAME, "WORKING SET", "PROMISED", "UNSHARED", "SWAPPED", "BETTER LIMIT")
LOAD = (*NAME, "CPU", "DISK", "WAITS")
BOUNDS = {
    "memory": "memory would be used up first",
    "swap": "swap would be used up first",
    "limits": "limits may not add up to more",
}


def density(
    *,
    by: Annotated[str, typer.Option("--by", help="tenant, app or process")] = "tenant",
    sort: Annotated[
        str, typer.Option("--sort", help="used, reserved, unshared, swap, cpu, io, stalled or name")
    ] = "used",
    size: Annotated[int, typer.Option("--size", help="What one more app needs when awake, in MiB")] = 64,
    asleep: Annotated[int, typer.Option("--asleep", help="How many of a hundred of them sleep")] = 80,
    machine: Annotated[int, typer.Option("--machine", help="Virtual machine to compare with, in MiB")] = 512,
    load: Annotated[bool, typer.Option("--load", help="Show who computes, uses the disk and waits")] = False,
    limit: Annotated[int, typer.Option("--limit", help="Rows, up to 200")] = 50,
    json: Json = False,
) -> None:
    """Memory by tenant, app or process, and how many more apps fit. For administrators."""
    asked = {"by": by, "sort": sort, "size": size, "asleep": asleep, "machine": machine, "limit": limit}
    found = connect().get("machine/density", **asked)
    if json:
        output.as_json(found)
        return
    rows = found["rows"]
    output.table(
        LOAD if load else MEMORY, [(*_name(row), *(_load(row) if load else _memory(row))) for row in rows]
    )
    output.note(
        f"Promised {output.size(found['reserved'])} of {output.size(found['memory'])} "
        f"({found['overcommit']:.2f} times), {output.size(found['available'])} can still be given. "
        f"{found['asleep']:,} of {found['containers']:,} containers sleep, "
        f"which saves {output.size(found['saved'])}. "
        f"{found['fits']:,} more apps of {size} MiB fit, if {asleep}% of them sleep: {BOUNDS[found['bound']]}. "
        f"As virtual machines of {machine} MiB those that run would take {output.size(found['as_machines'])}."
    )
    if found["disk"]:  # else not measured yet
        output.note(
            f"All tenants' disks may grow to {output.size(found['disk_promised'])} of the machine's "
            f"{output.size(found['disk'])} ({found['disk_promised'] / found['disk']:.2f} times)."
        )


def _name(row: dict[str, Any]) -> tuple[str, ...]:
    parts = (f"{row['tenant']}/{row['app']}".rstrip("/"), row["process"])
    return " ".join(part for part in parts if part), str(row["containers"]), str(row["asleep"])


def _memory(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        output.size(row["used"]),
        output.size(row["reserved"]),
        "-" if row["unshared"] is None else output.size(row["unshared"]),
        output.size(row["swap"]),
        output.exact(row["advice"]) if row["advice"] else "-",
    )


def _load(row: dict[str, Any]) -> tuple[str, ...]:
    disk = "-" if row["io_bytes"] is None else f"{output.size(row['io_bytes'])}/s"
    return f"{row['cpu_millis'] / 1000:.2f}", disk, _waits(row)


def _waits(row: dict[str, Any]) -> str:
    """What it waits for most, its own cpu limit included."""
    waits = {"cpu": "stalled_cpu", "limit": "throttled", "memory": "stalled_memory", "disk": "stalled_io"}
    most, permille = max(((name, row[key] or 0) for name, key in waits.items()), key=lambda one: one[1])
    return f"{permille / 10:.0f}% {most}" if permille >= 5 else "-"
