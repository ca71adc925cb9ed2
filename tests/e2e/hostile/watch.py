"""How a neighbour's apps and the dashboard answer meanwhile, and the table of it."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.hostile.probe import PATIENCE
from tests.e2e.platform import PORT

LEDGER = "ledger"  # the neighbour's app whose page waits for the disk
# Who is asked, for what, and how often (seconds).
ASKED = {
    "neighbour": (f"hello-demo.localhost:{PORT}", "/", "0.02"),
    "ledger": (f"{LEDGER}-demo.localhost:{PORT}", "/", "0.05"),
    "dashboard": (f"berth.localhost:{PORT}", "/sign-in/", "0.1"),
}
AT_REST = "at rest"
REPORTED = "neighbour under attack"  # the name of the property that a test's report carries the row in
HEAD = ("attack", "n", "p50 ms", "p99 ms", "x rest", "disk p99 ms", "x rest", "dashboard p99 ms", "failed")


class Sample(NamedTuple):
    name: str
    due: float
    seconds: float
    status: int


class Row(NamedTuple):
    """Times are in milliseconds; `failed` counts requests to any that got no 200."""

    attack: str
    requests: int
    p50: float
    p99: float
    disk_p99: float
    dashboard_p99: float
    failed: int


@dataclass
class Phase:
    """From when to when an attack went on, by CLOCK_MONOTONIC."""

    attack: str
    begun: float = 0.0
    ended: float = math.inf


@dataclass
class Watch:
    """The processes that ask, and what they wrote."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    rest: Row | None = None

    @contextmanager
    def asking(self) -> Iterator[Watch]:
        try:
            for name, (host, path, pace) in ASKED.items():
                with (self.folder / name).open("wb") as out:
                    argv = [sys.executable, str(Path(__file__).with_name("probe.py")), str(PORT), host, path]
                    self.processes.append(subprocess.Popen([*argv, pace, name], stdout=out))
            yield self
        finally:
            for process in self.processes:
                process.kill()
                process.wait()

    @contextmanager
    def phase(self, attack: str) -> Iterator[Phase]:
        phase = Phase(attack, begun=time.monotonic())
        yield phase
        phase.ended = time.monotonic()

    def samples(self, phase: Phase) -> list[Sample]:
        """All that were due in the phase: waits for those still under way."""
        for name in ASKED:
            end = time.monotonic() + 2 * PATIENCE
            while self._latest(name) <= phase.ended:
                assert time.monotonic() < end, f"nobody asks the {name} any more"
                time.sleep(0.02)
        return [s for name in ASKED for s in self._read(name) if phase.begun <= s.due <= phase.ended]

    def row(self, phase: Phase) -> Row:
        found = self.samples(phase)
        times = {name: [s.seconds * 1000 for s in found if s.name == name] for name in ASKED}
        return Row(
            phase.attack,
            len(times["neighbour"]),
            percentile(times["neighbour"], 50),
            percentile(times["neighbour"], 99),
            percentile(times["ledger"], 99),
            percentile(times["dashboard"], 99),
            sum(s.status != 200 for s in found),
        )

    def _latest(self, name: str) -> float:
        return max((sample.due for sample in self._read(name)), default=0.0)

    def _read(self, name: str) -> list[Sample]:
        """A line that is still being written is left for the next time."""
        lines = (self.folder / name).read_text().rpartition("\n")[0].splitlines()
        words = (line.split() for line in lines)
        return [Sample(who, float(due), float(took), int(status)) for who, due, took, status in words]


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed; nan of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def table(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Of rows as they come out of the reports (as lists: xdist carries no tuple of ours)."""
    known = list({row[0]: Row(*row) for row in rows}.values())
    rest = next(row for row in known if row.attack == AT_REST)
    lines = [HEAD, *(_cells(row, rest) for row in known)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]


def _cells(row: Row, rest: Row) -> tuple[str, ...]:
    page, disk = (row.p50, row.p99, row.p99 / rest.p99), (row.disk_p99, row.disk_p99 / rest.disk_p99)
    times = (f"{value:.1f}" for value in (*page, *disk, row.dashboard_p99))
    return (row.attack, str(row.requests), *times, str(row.failed))
