from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from paas.celery import app
from paas.pools import ThreadPool


class Command(BaseCommand):
    """Celery's own command imports all of its commands, with an interactive shell's: 10 MiB of each worker."""

    help = "Run what waits in one of the queues."
    requires_system_checks = []  # they import every page: bin/up makes them when it migrates

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", required=True, choices=("deploy", "build", "transfer"))
        parser.add_argument("--pool", required=True, choices=("threads", "prefork"))
        parser.add_argument("--concurrency", required=True, type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        worker = app.Worker(
            hostname=f"{options['queue']}@berth",
            queues=options["queue"],
            pool_cls=ThreadPool if options["pool"] == "threads" else options["pool"],
            concurrency=options["concurrency"],
            autoscale=(options["concurrency"], 1) if options["pool"] == "prefork" else None,
            loglevel="INFO",
            # One machine: there is nobody to compare notes with.
            without_mingle=True,
            without_gossip=True,
        )
        worker.start()
        sys.exit(worker.exitcode)
