"""Which app a command is about: --app, BERTH_APP, or the file .berth in this folder or one above."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from berth_cli.client import Client
from berth_cli.errors import CliError

FILE = ".berth"


@dataclass(frozen=True, slots=True)
class Target:
    tenant: str
    app: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.app}"

    def path(self, rest: str = "") -> str:
        base = f"apps/{quote(self.tenant, safe='')}/{quote(self.app, safe='')}"
        return f"{base}/{rest}" if rest else base

    def stream(self, rest: str) -> str:
        """Below /streams/t/."""
        return f"{quote(self.tenant, safe='')}/{quote(self.app, safe='')}/{rest}"


def find(client: Client, name: str | None, start: Path | None = None) -> Target:
    """`name` is what --app was given."""
    found = name or os.environ.get("BERTH_APP") or _from_file(start or Path.cwd())
    if not found:
        raise CliError(
            "which app?", "Add --app TENANT/APP, set BERTH_APP, or write TENANT/APP into a file .berth."
        )
    tenant, slash, app = found.strip().rpartition("/")
    if slash and (not tenant or not app):
        raise CliError(f"{found!r} is not TENANT/APP", "An example: --app demo/shop")
    return Target(tenant or only_tenant(client), app)


def only_tenant(client: Client) -> str:
    tenants = [str(t["tenant"]) for t in client.get("me")["tenants"]]
    if len(tenants) != 1:
        raise CliError(
            f"you are in {len(tenants)} tenants", f"Name one: {', '.join(tenants) or 'ask for one'}."
        )
    return tenants[0]


def _from_file(start: Path) -> str:
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE).is_file():
            return (folder / FILE).read_text().strip()
    return ""
