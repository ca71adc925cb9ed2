"""Keeping containers' logs small, in a thread of its own: a flood of output waits neither for the agent's other
duties, which may be slow, nor for a database that is away.
"""

from __future__ import annotations

import grp
import time
from collections import Counter
from collections.abc import Collection
from threading import Event, Lock, Thread

import structlog
from django.conf import settings

from paas.agent.exits import WRITTEN, ExitWatch
from paas.errors import BerthError
from paas.runtime import LogKeeper, Together
from paas.worker import engine
from tenants.accounts.models import Tenant
from tenants.containers import observations

log = structlog.get_logger()
EVERY_SECONDS = 1.0
ALL_SECONDS = 60.0


class Logs:
    """Used in a `with` statement, during which logs are kept small."""

    def __init__(self) -> None:
        self._keeper = LogKeeper(settings.PATHS.bundles, grp.getgrnam(settings.GROUP).gr_gid)
        self._written = ExitWatch(settings.PATHS.container_log("").parent, WRITTEN)
        self._looked = -ALL_SECONDS
        self._owners: dict[str, str] = {}  # container -> tenant, neither of which changes
        self._rates: dict[str, int] = {}  # as the rows said when they could be read last
        self._dropped, self._counting, self._ending = Counter[str](), Lock(), Event()
        self._thread = Thread(target=self._run, name="logs", daemon=True)

    def __enter__(self) -> Logs:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(EVERY_SECONDS):
            try:
                self._keep()
            except (BerthError, OSError) as error:
                self._written.overflown = True  # what was told is lost
                log.warning("agent.logs_failed", error=str(error))

    def _keep(self) -> None:
        """Those that were written to; all at first, when they were too many to be told, and now and then."""
        written = {name.removesuffix(".log") for name in self._written.all() if name.endswith(".log")}
        if self._written.overflown or time.monotonic() - self._looked >= ALL_SECONDS:
            self._written.overflown, self._looked = False, time.monotonic()
            # Of what the host has; its rows may be out of reach.
            written |= set(engine.runtime().list())
            self._owners = {pk: tenant for pk, tenant in self._owners.items() if pk in written}
            self._keeper.forget_all_but(written, self._rates)
        # Whoever has ended since is judged, too: it may have written more in a moment than others in a day.
        found = {pk: settings.PATHS.container_log(pk) for pk in written}
        dropped = self._keeper.tick(found, self._together(found))
        with self._counting:
            self._dropped.update(dropped)

    def _together(self, found: Collection[str]) -> dict[str, Together]:
        """Whose rate each of them shares, as far as that is known."""
        known = {pk: self._owners.get(pk) or engine.runtime().tenant_of(pk) for pk in found}
        self._owners.update({pk: tenant for pk, tenant in known.items() if tenant})
        rates = self._rates
        return {
            pk: Together(tenant, rates[tenant]) for pk, tenant in known.items() if tenant and tenant in rates
        }

    def observe(self) -> None:
        """What was dropped into rows; kept for the next time when that fails.

        RuntimeError: the thread has died of something unforeseen, of which the whole agent is to be restarted.
        """
        if not self._thread.is_alive():
            raise RuntimeError("the thread that keeps logs small has ended")
        self._rates = dict(Tenant.objects.values_list("pk", "log_bytes"))
        with self._counting:
            dropped = self._dropped.copy()
        observations.log_dropped(dropped)
        with self._counting:
            self._dropped -= dropped
