"""What containers and the machine use: cgroup files and /proc, into columns.

What somebody looks at is read every few seconds, everything else in turn, a few at a time: what this costs does
not grow with what the machine carries. A container that sleeps is not read; it stays as it was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from paas import live, usage
from paas.linux import cgroup_use, memory
from paas.logs import remark
from paas.specs import Reading
from paas.templatetags.berth import size
from paas.worker import engine
from paas.worker.rounds import Round
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.containers.selectors import used_by
from tenants.fleet import observations as fleet
from tenants.fleet import readings
from tenants.fleet.readings import Taken

MOST_WATCHED = 50  # containers a turn
MOST_OTHERS = 12
MACHINE_EVERY = 10.0  # seconds, when nobody looks
STEP = 256 * 1024  # a change of memory that is worth a write
FORGOTTEN = 3600.0  # seconds after which a container's last reading is no use
MORE_MEMORY = "Give it more (memory of its process in berth.toml), or have it use less."
_NEEDED = (
    "pk", "tenant_id", "app_id", "kind", "process_type", "index", "memory_limit",
    "memory_bytes", "cpu_millis", "pids", "oom_kills",
)  # fmt: skip


class Sampler:
    """Remembers the last counters, so that a rate can be told."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, Reading]] = {}
        self._taken: dict[str, Taken] = {}
        self._machine: tuple[float, float] | None = None
        self._machine_seen = -MACHINE_EVERY
        self._watched, self._others, self._weighed = Round(MOST_WATCHED), Round(MOST_OTHERS), Round(1)
        self._remembered: dict[str, float] = {}  # name -> when its chart got a point

    def sample(self) -> None:
        listened = live.listened_to()
        self._taken.clear()
        looked_at = self._watched_rows(listened)
        others = [row for row in self._others.next(_running()) if row.pk not in looked_at]
        read = [row for row in looked_at.values() if self._read(row)]
        quiet = [row for row in others if self._read(row, unless_same=True)]
        observations.sampled([*read, *quiet])
        self._keep(others)
        for tenant_id, app_id in {(row.tenant_id, row.app_id) for row in read}:
            live.publish(live.channel(tenant_id), {"app": app_id, "what": "usage"})
        self._remember_apps({row.app_id for row in (*looked_at.values(), *others)})
        if live.MACHINE in listened or time.monotonic() - self._machine_seen >= MACHINE_EVERY:
            self._sample_machine()
        self._forget()

    def _watched_rows(self, listened: frozenset[str]) -> dict[str, Container]:
        tenants = [name.rpartition(":")[2] for name in listened - {live.MACHINE}]
        if not tenants:
            return {}
        return {row.pk: row for row in self._watched.next(_running().filter(tenant__in=tenants))}

    def _keep(self, rows: list[Container]) -> None:
        """For the ledger. One container is weighed: that takes the kernel longest."""
        readings.keep([self._taken[row.pk] for row in rows if row.pk in self._taken])
        for row in self._weighed.next(_running()):
            with suppress(OSError):
                readings.weighed(row.pk, engine.runtime().weigh(row.tenant_id, row.app_id, row.pk))

    def _read(self, row: Container, *, unless_same: bool = False) -> bool:
        """Its usage into the row; False if it ended meanwhile, or is as the row says."""
        try:
            used = engine.runtime().reading(row.tenant_id, row.app_id, row.pk)
        except OSError:
            return False
        now = time.monotonic()
        before, self._last[row.pk] = self._last.get(row.pk), (now, used)
        self._taken[row.pk] = Taken(row, used, before and before[1], now - before[0] if before else 0.0)
        if used.oom_kills > row.oom_kills:
            _tell_of_kills(row, used.oom_kills)
        was = (row.memory_bytes, row.cpu_millis, row.pids)
        row.memory_bytes, row.pids, row.sampled_at = used.working_set, used.pids, timezone.now()
        if before and now > before[0]:
            row.cpu_millis = max(0, round((used.cpu_usec - before[1].cpu_usec) / (now - before[0]) / 1000))
        return not (unless_same and is_same(was, (row.memory_bytes, row.cpu_millis, row.pids)))

    def _remember_apps(self, apps: Iterable[str]) -> None:
        """A point for the charts of apps of which something was read, less often than a sample."""
        if due := self._due(apps):
            usage.remember(time.time(), used_by(due))

    def _due(self, names: Iterable[str]) -> set[str]:
        """Those of them whose charts are to get a point now."""
        now = time.monotonic()
        due = {name for name in names if now - self._remembered.get(name, now - usage.EVERY) >= usage.EVERY}
        self._remembered.update(dict.fromkeys(due, now))
        return due

    def _forget(self) -> None:
        end = time.monotonic() - FORGOTTEN
        self._last = {pk: last for pk, last in self._last.items() if last[0] > end}
        self._remembered = {name: at for name, at in self._remembered.items() if at > end}

    def _sample_machine(self) -> None:
        """Into the machine's row: memory in use in bytes, and thousandths of a core."""
        seen = memory.read()
        busy, now = _busy_seconds(), time.monotonic()
        millis = 0
        if self._machine:
            millis = max(0, round((busy - self._machine[1]) / (now - self._machine[0]) * 1000))
        self._machine, self._machine_seen = (now, busy), now
        disk = shutil.disk_usage(settings.PATHS.state)
        fleet.machine_sampled(
            cores=os.cpu_count() or 1,
            memory_bytes=seen.total,
            memory_available_bytes=seen.available,
            cpu_millis=millis,
            disk_bytes=disk.used + disk.free,  # as df(1) counts: a file system may keep blocks back
            disk_free_bytes=disk.free,
            swap_bytes=seen.swap,
            swap_free_bytes=seen.swap_free,
            stalled=cgroup_use.machine_stalled(),
        )
        live.publish(live.MACHINE, {"what": "usage"})
        if self._due([usage.MACHINE]):
            usage.remember(time.time(), {usage.MACHINE: (seen.total - seen.available, millis)})


def is_same(was: tuple[int, int, int], now: tuple[int, int, int]) -> bool:
    """Pure: whether memory (bytes), processor (1/1000 core) and processes look alike on a page."""
    memory = abs(now[0] - was[0]) < max(STEP, was[0] // 50)
    cpu = abs(now[1] - was[1]) < max(3, was[1] // 20)
    return memory and cpu and now[2] == was[2] and (now[0] > 0) == (was[0] > 0)


def _running() -> QuerySet[Container]:
    rows = Container.objects.filter(status=Container.Status.RUNNING)
    return rows.only(*_NEEDED)


def _tell_of_kills(row: Container, oom_kills: int) -> None:
    """Into the row and the container's log: it goes on without them, and its app may not say a word."""
    killed = oom_kills - row.oom_kills
    if observations.processes_killed(row, oom_kills):
        what = "a process was killed" if killed == 1 else f"{killed} processes were killed"
        text = f"{what}: out of memory. {row} may have {size(row.memory_limit)}. {MORE_MEMORY}"
        with suppress(OSError):  # it has just been cleared, or the disk is full
            remark(settings.PATHS.container_log(row.pk), text)


def _busy_seconds() -> float:
    """Time that all cores together were not idle, since boot (/proc/stat: user nice system idle iowait …)."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
