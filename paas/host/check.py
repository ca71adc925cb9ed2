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
from paas.isolation import installed
from paas.isolation.versions import Finding
from paas.linux import probe
from paas.linux.probe import Capability


def show() -> int:
    """Print the table, then known-bad versions; the exit status is 1 when bin/up would refuse to start."""
    state = Path(os.environ.get("BERTH_STATE") or "/var/lib/berth")
    found, bad = probe.survey(state), installed.known_bad()
    width = min(shutil.get_terminal_size((112, 24)).columns, 112)
    print("\n".join(table(found, width)))
    print(*verdict(found), sep="\n")
    print(*versions(bad, width), sep="\n")
    if os.geteuid() != 0:
        print("Run as root for the whole picture: what only root may try is shown as missing.")
    return 1 if any(row.in_the_way for row in found) or known_bad.is_void(bad) else 0


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


def _names(rows: Iterable[Capability]) -> str:
    return ", ".join(row.name for row in rows)
