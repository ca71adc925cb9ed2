"""The ingress: routes become Caddy's configuration (render, pure), which is loaded in one step (Caddy)."""

from paas.router.boot import write_boot_config
from paas.router.caddy import Caddy
from paas.router.render import render

__all__ = ["Caddy", "render", "write_boot_config"]
