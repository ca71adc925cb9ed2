"""Known-bad versions as `bin/up` and `bin/up --check` tell them. Standard library only, as paas.host.check."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from paas.errors import HostProblem
from paas.isolation.versions import Finding

TITLES = {
    "void": "Containers get out",
    "open": "Exposed",
    "closed": "Out of the containers' reach",
}


def lines(found: Sequence[Finding], width: int) -> list[str]:
    """What is exposed, the worst first, each with what to do about it."""
    told = []
    for finding in found:
        entry = finding.entry
        head = f"{finding.installed}: {entry.id}. {TITLES[entry.reach]}."
        told += textwrap.wrap(head, width, initial_indent="  ! ", subsequent_indent="    ")
        for text in (entry.exposes, entry.remedy):
            told += textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return told


def summary(found: Sequence[Finding], width: int) -> list[str]:
    """What a start tells: all that something of Berth's meets, and how many there are beside."""
    met = [finding for finding in found if finding.entry.reach != "closed"]
    others = len(found) - len(met)
    more = f"  {others} more known to be bad, but out of the containers' reach: bin/up --check"
    return [*lines(met, width), *([more] if others else [])]


def is_void(found: Sequence[Finding]) -> bool:
    return any(finding.entry.reach == "void" for finding in found)


def demand_sound(found: Sequence[Finding]) -> None:
    """HostProblem where what is promised of containers cannot hold."""
    for finding in found:
        if finding.entry.reach == "void":
            raise HostProblem(
                f"{finding.installed} lets containers out ({finding.entry.id}): {finding.entry.exposes}",
                hint=finding.entry.remedy,
            )
