"""The agent: one long-lived process that notices exits, samples usage, keeps logs small and sweeps.

Its loop waits for exits; the other duties are due every so often. A duty that fails is logged and tried
again when next due: the agent must outlive a locked database, a restarted broker and a full disk.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import redis
import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from paas import live
from paas.agent.exits import ExitWatch
from paas.agent.logs import Logs
from paas.agent.metrics import Sampler
from paas.agent.sleep import Sleep
from paas.errors import BerthError
from paas.linux import heap
from paas.queue import wake
from paas.worker import disk, fences, kept, names, quota, routes, upkeep, volumes
from paas.worker.sweep import all_unlike_their_rows, clear_host, sweep
from tenants.containers.models import Container
from tenants.fleet import readings
from tenants.isolation.actions import look_by_itself
from tenants.runs.models import Run

log = structlog.get_logger()
HEARTBEAT = "berth:agent"
SETTLED_SECONDS = 60.0
EXPECTED = (DatabaseError, InterfaceError, BerthError, redis.RedisError, OSError)


@dataclass(slots=True)
class Duty:
    name: str
    work: Callable[[], object]
    every: float
    once: bool = False  # done when it succeeded
    due: float = 0.0


class WhileWatched:
    """Work that nobody needs done often unless a page is open somewhere: done each time then, otherwise every
    `rest` seconds."""

    def __init__(self, work: Callable[[], object], rest: float) -> None:
        self._work, self._rest, self._done = work, rest, -rest

    def __call__(self) -> None:
        if time.monotonic() - self._done >= self._rest or live.listened_to():
            self._work()
            self._done = time.monotonic()


class Agent:
    def __init__(self) -> None:
        self._ending = False
        self._exits = ExitWatch(settings.PATHS.exits)
        self._logs, self._sleep = Logs(), Sleep()
        self._duties = [
            Duty("host", fences.hold_host, 10.0),
            # A firewall's restart often flushes everybody's rules: containers must not stay unfenced.
            Duty("fences", fences.AfterChange(fences.keep, rest=60.0), 10.0),
            Duty("rules", fences.AfterChange(fences.mend), 10.0),
            Duty("let_through", fences.let_through, 60.0),
            Duty("adopt", adopt, 5.0, once=True),
            Duty("beat", beat, 5.0),
            Duty("sweep", sweep, 5.0),
            Duty("names", names.tell_everybody, 15.0),
            Duty("traffic", WhileWatched(fences.count, rest=60.0), 10.0),
            Duty("egress", fences.AfterChange(fences.look), 30.0),
            Duty("sample", Sampler().sample, 3.0),
            Duty("logs", self._logs.observe, 5.0),
            Duty("together", quota.hold_all, 10.0),
            Duty("sleep", self._sleep.observe, 5.0),
            Duty("quotas", quota.look, 10.0),
            Duty("store", keep_store, 300.0),
            Duty("volumes", volumes.look, 120.0),
            Duty("heap", heap.give_back, 30.0),
            # Once what a restart of the machine took down is up again, and then every hour.
            Duty("isolation", look_by_itself, 3600.0, due=time.monotonic() + SETTLED_SECONDS),
        ]

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_ending", True))
        with self._logs, self._sleep:
            while not self._ending:
                self._turn()

    def _turn(self) -> None:
        wait = max(0.0, min(d.due for d in self._duties) - time.monotonic())
        for container_id in self._exits.wait(min(wait, 1.0)):
            self._try("exit", partial(ended, container_id))
        for duty in self._duties:
            if duty.due <= time.monotonic() and not self._ending:
                done = self._try(duty.name, duty.work)
                duty.due = math.inf if duty.once and done else time.monotonic() + duty.every

    def _try(self, name: str, work: Callable[[], object]) -> bool:
        close_old_connections()
        try:
            work()
        except EXPECTED as error:
            log.warning("agent.duty_failed", duty=name, error=str(error))
            return False
        return True


def keep_store() -> None:
    """The image store's sizes into rows; a prune is asked for when the disk is filling up."""
    upkeep.observe()
    kept.look()
    readings.forget_ended()
    upkeep.at_night(timezone.now(), disk.used())


def adopt() -> None:
    """After a start: what no row knows is cleared, what runs is routed to again."""
    for pk in clear_host():
        log.info("agent.stray_cleared", container=pk)
    routes.sync_all()
    for app_id in all_unlike_their_rows():
        wake("reconcile", app_id)


def ended(container_id: str) -> None:
    app_id = Container.objects.filter(pk=container_id, kind="process").values_list("app_id", flat=True).first()
    if app_id:
        wake("reconcile", app_id)
    run_id = Run.objects.filter(container_id=container_id).values_list("pk", flat=True).first()
    if run_id:
        wake("run", run_id)


def beat() -> None:
    cache.set(HEARTBEAT, time.time(), timeout=20)
