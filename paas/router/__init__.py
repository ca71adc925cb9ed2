"""The ingress: a configuration that stays (render, pure), and routes that change (Table)."""

from paas.router.boot import write_boot_config
from paas.router.caddy import Caddy
from paas.router.render import render
from paas.router.table import Table

__all__ = ["Caddy", "Table", "render", "write_boot_config"]
