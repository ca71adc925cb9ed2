from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from paas.agent.run import Agent


class Command(BaseCommand):
    help = "Run the agent: exits, usage, logs, the sweep."
    requires_system_checks = []  # they import every page: bin/up makes them when it migrates

    def handle(self, *args: Any, **options: Any) -> None:
        Agent().run()
