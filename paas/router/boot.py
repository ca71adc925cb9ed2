"""The file that Caddy starts from."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Protocol

from paas.paths import Paths
from paas.router.render import render


class IngressSettings(Protocol):
    """What of paas.settings matters here; the engine does not import it."""

    PORT: int
    DASHBOARD_HOST: str
    DOMAIN: str
    PATHS: Paths


def write_boot_config(path: Path, settings: IngressSettings) -> None:
    """Write a configuration without apps, for `caddy run --config`, unless one of the same settings is there.

    The one that is there may know the apps (see Caddy.boot_config).
    """
    config = render(
        [],
        port=settings.PORT,
        dashboard_host=settings.DASHBOARD_HOST,
        web_socket=settings.PATHS.web_socket,
        streams_socket=settings.PATHS.streams_socket,
        admin_socket=settings.PATHS.caddy_admin_socket,
        domain=settings.DOMAIN,
    )
    if _without_apps(_read(path)) != _without_apps(config):
        save(path, config)


def save(path: Path, config: dict[str, Any]) -> None:
    """Replace the file as a whole; the same text is not written again."""
    text = json.dumps(config)
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # The folder is writable for Caddy's user: a name that can be foretold could be a link there by now.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fchmod(descriptor, 0o644)  # Caddy reads it as a user of its own; the folder keeps others out
    Path(draft).replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return config


def _without_apps(config: dict[str, Any]) -> object:
    """All but the tenants' routes, which lie between the first two and the last two."""
    try:
        server = config["apps"]["http"]["servers"]["ingress"]
        return [
            config["admin"],
            config["logging"],
            {**server, "routes": server["routes"][:2] + server["routes"][-2:]},
        ]
    except (KeyError, TypeError):
        return None
