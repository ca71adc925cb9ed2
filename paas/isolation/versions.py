"""Installed programs against `known_bad.toml`: pure. Standard library only (see this package)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from paas.isolation.debian_versions import is_before, is_before_upstream, upstream_of

KNOWN_BAD = Path(__file__).with_name("known_bad.toml")
Reach = Literal["void", "open", "closed"]


@dataclass(frozen=True, slots=True)
class Installed:
    """A program as found. `package` is Debian's version where it is Debian's, `version` upstream's."""

    program: str
    version: str
    package: str = ""

    def __str__(self) -> str:
        return f"{self.program} {self.package or self.version}"


@dataclass(frozen=True, slots=True)
class Entry:
    """As in known_bad.toml, which says what each field means."""

    program: str
    id: str
    reach: Reach
    exposes: str
    remedy: str
    source: str
    upstream: tuple[tuple[str, str], ...]
    debian: Mapping[str, str]

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Entry:
        upstream = tuple((first, mended) for first, mended in table["upstream"])
        return cls(**{"debian": {}, **table, "upstream": upstream})

    def concerns(self, found: Installed, suite: str) -> bool:
        """Debian mends a package and keeps upstream's number: its own number decides where it is known."""
        if found.program != self.program:
            return False
        if found.package and suite in self.debian:
            return is_before(found.package, self.debian[suite])
        version = upstream_of(found.package) if found.package else found.version
        return any(
            not is_before_upstream(version, first) and is_before_upstream(version, mended)
            for first, mended in self.upstream
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """An installed version that is known to be bad."""

    installed: Installed
    entry: Entry

    def as_dict(self) -> dict[str, str]:
        told = ("id", "reach", "exposes", "remedy", "source")
        found = asdict(self.entry)
        return {"installed": str(self.installed), **{name: found[name] for name in told}}


@cache
def entries() -> tuple[Entry, ...]:
    return read(KNOWN_BAD.read_text())


def read(text: str) -> tuple[Entry, ...]:
    return tuple(Entry.of(table) for table in tomllib.loads(text)["entry"])


def findings(installed: Iterable[Installed], known: Iterable[Entry], suite: str) -> list[Finding]:
    """The worst first. `suite` is the code name of this Debian ("bookworm")."""
    known = tuple(known)
    found = [Finding(it, entry) for it in installed for entry in known if entry.concerns(it, suite)]
    order: tuple[Reach, ...] = ("void", "open", "closed")
    return sorted(found, key=lambda finding: order.index(finding.entry.reach))
