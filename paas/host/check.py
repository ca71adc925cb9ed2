"""`bin/up --check`: what this host offers, what each missing piece costs, and the remedy. Changes nothing.

Runs before anything is installed, so this and what it imports need only Python's standard library.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from paas.host import known_bad
from paas.isolation import installed, standing
from paas.isolation.standing import Standing
from paas.isolation.versions import Finding
from paas.linux import probe
from paas.linux.probe import Capability


def show() -> int:
    """Print the table, known-bad versions and what the last look at the containers found; the exit status is 1
    when bin/up would refuse to start, or a promise is broken."""
    state = Path(os.environ.get("BERTH_STATE") or "/var/lib/berth")
    found, bad, looked = probe.survey(state), installed.known_bad(), standing.read(state)
    width = min(shutil.get_terminal_size((112, 24)).columns, 112)
    lines = [*table(found, width), *verdict(found), *versions(bad, width), *isolation(looked)]
    print("\n".join(lines))
    if os.geteuid() != 0:
        print("Run as root for the whole picture: what only root may try is shown as missing.")
    is_broken = looked is not None and looked.broken > 0
    return 1 if any(row.in_the_way for row in found) or known_bad.is_void(bad) or is_broken else 0


def table(found: Iterable[Capability], width: int) -> list[str]:
    """One line each; what is missing gets its cost and remedy below."""
    rows = list(found)
    column = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        lines.append(f"  {'✓' if row.present else '✗'} {row.name:<{column}}  {row.found}")
        if not row.present:
            for text in (row.cost, row.remedy):
                lines += textwrap.wrap(
                    text, width, initial_indent=" " * (column + 6), subsequent_indent=" " * (column + 6)
                )
    return lines


def verdict(found: Sequence[Capability]) -> list[str]:
    missing = [row for row in found if not row.present]
    in_the_way = _names(row for row in missing if row.in_the_way)
    mended = _names(row for row in missing if row.mended)
    gains = _names(row for row in missing if not row.mended and not row.required)
    if in_the_way:
        return ["", f"Berth cannot run without: {in_the_way}."]
    lines = ["", "Berth runs here." if missing else "Everything that Berth uses is here."]
    lines += [f"bin/up will install: {mended}."] if mended else []
    lines += [f"Without the gains of: {gains}."] if gains else []
    return lines


def versions(bad: Sequence[Finding], width: int) -> list[str]:
    if not bad:
        return ["No installed version is among those known to be bad."]
    head = ["", "Installed versions that are known to be bad:"]
    return [*head, *known_bad.lines(bad, width)]


def isolation(looked: Standing | None) -> list[str]:
    """What the last look at the containers found; nothing where none was taken."""
    if looked is None:
        return []
    when = looked.looked_at.astimezone().strftime("%d %b %Y, %H:%M %Z")
    if not looked.broken:
        return ["", f"Isolation: every promise held when Berth last looked, {when}."]
    some = "1 promise is" if looked.broken == 1 else f"{looked.broken} promises are"
    return ["", f"Isolation: {some} BROKEN, as of {when}. See Machine, Isolation, in the dashboard."]


def _names(rows: Iterable[Capability]) -> str:
    return ", ".join(row.name for row in rows)
