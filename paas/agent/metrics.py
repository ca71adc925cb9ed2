"""What containers and the machine use: cgroup files and /proc, into columns, every few seconds."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from paas import live, usage
from paas.worker import engine
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.fleet import observations as fleet


class Sampler:
    """Remembers the last cpu counters, so that a rate can be told."""

    def __init__(self) -> None:
        self._cpu: dict[str, tuple[float, int]] = {}
        self._machine: tuple[float, float] | None = None
        self._remembered = time.monotonic()  # the first sample has no rates yet

    def sample(self) -> None:
        rows = list(
            Container.objects.filter(status__in=(Container.Status.RUNNING, Container.Status.SLEEPING)).only(
                "pk", "tenant_id", "app_id"
            )
        )
        read = [row for row in rows if self._read(row)]
        observations.sampled(read)
        self._cpu = {row.pk: self._cpu[row.pk] for row in read}
        machine = self._sample_machine()
        for tenant_id, app_id in {(row.tenant_id, row.app_id) for row in read}:
            live.publish(live.channel(tenant_id), {"app": app_id, "what": "usage"})
        live.publish(live.MACHINE, {"what": "usage"})
        self._remember(read, machine)

    def _read(self, row: Container) -> bool:
        """Its usage into the row; False if it ended meanwhile."""
        try:
            used = engine.runtime().usage(row.pk)
        except (OSError, LookupError):
            return False
        now = time.monotonic()
        before = self._cpu.get(row.pk)
        self._cpu[row.pk] = (now, used.cpu_usec)
        row.memory_bytes, row.cpu_usec, row.pids = used.memory_bytes, used.cpu_usec, used.pids
        row.sampled_at = timezone.now()
        if before and now > before[0]:
            row.cpu_millis = max(0, round((used.cpu_usec - before[1]) / (now - before[0]) / 1000))
        return True

    def _remember(self, rows: list[Container], machine: tuple[int, int]) -> None:
        """A point for the charts, less often than a sample."""
        if time.monotonic() - self._remembered < usage.EVERY:
            return
        self._remembered = time.monotonic()
        used = {usage.MACHINE: machine}
        for row in rows:
            memory, cpu = used.get(row.app_id, (0, 0))
            used[row.app_id] = (memory + row.memory_bytes, cpu + row.cpu_millis)
        usage.remember(time.time(), used)

    def _sample_machine(self) -> tuple[int, int]:
        """Into the machine's row; memory in use in bytes, and thousandths of a core."""
        memory = _meminfo()
        busy, now = _busy_seconds(), time.monotonic()
        millis = 0
        if self._machine:
            millis = max(0, round((busy - self._machine[1]) / (now - self._machine[0]) * 1000))
        self._machine = (now, busy)
        disk = shutil.disk_usage(settings.PATHS.state)
        fleet.machine_sampled(
            cores=os.cpu_count() or 1,
            memory_bytes=memory["MemTotal"],
            memory_available_bytes=memory["MemAvailable"],
            cpu_millis=millis,
            disk_bytes=disk.used + disk.free,  # as df(1) counts: a file system may keep blocks back
            disk_free_bytes=disk.free,
        )
        return memory["MemTotal"] - memory["MemAvailable"], millis


def _meminfo() -> dict[str, int]:
    """/proc/meminfo in bytes."""
    rows = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {name.rstrip(":"): int(value) * 1024 for name, value, *_ in rows}


def _busy_seconds() -> float:
    """Time that all cores together were not idle, since boot (/proc/stat: user nice system idle iowait …)."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
