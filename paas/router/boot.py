"""The file that Caddy starts from."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Protocol

from paas.paths import Paths
from paas.router.render import render


class IngressSettings(Protocol):
    """What of paas.settings matters here; the engine does not import it."""

    PORT: int
    DASHBOARD_HOST: str
    DOMAIN: str
    PATHS: Paths


def write_boot_config(path: Path, settings: IngressSettings) -> None:
    """Write what `caddy run --config` takes."""
    config = render(
        port=settings.PORT,
        dashboard_host=settings.DASHBOARD_HOST,
        web_socket=settings.PATHS.web_socket,
        streams_socket=settings.PATHS.streams_socket,
        admin_socket=settings.PATHS.caddy_admin_socket,
        domain=settings.DOMAIN,
        routes=settings.PATHS.routes,
    )
    # The folder is writable for Caddy's user: a name that can be foretold could be a link there by now.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    with os.fdopen(descriptor, "w") as file:
        json.dump(config, file)
        os.fchmod(descriptor, 0o644)  # Caddy reads it as a user of its own; the folder keeps others out
    Path(draft).replace(path)
