"""Parents of pre-forked servers, held back at a wake until their children have run.

gunicorn's arbiter ends a worker that it has heard nothing of for 30 seconds, Puma and Unicorn one of 60,
uvicorn one of 5. The clock goes on while a container stands still: a parent that looks before its workers have
said anything takes them for dead, together with the request that woke them.

A note beside the sleeper names such parents; at the wake it goes to the folder `held`, and stays there until
the waker has let them go, or who comes after it.
"""

from __future__ import annotations

import json
import math
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from paas.linux import prefork
from paas.linux.cgroups import Cgroup

LEAST, MOST = 0.2, 10.0  # seconds that children have to run
MOST_OF_A_CALL = 60.0  # gunicorn's workers wait for half of its 30 seconds, Puma's for 5


@dataclass(frozen=True, slots=True)
class Held:
    """Whose cgroup, which parents, which other processes they watch over, and how many seconds these will wait
    in a call first; held since (time.monotonic)."""

    cgroup: str
    parents: list[int]
    children: list[int]
    call: float
    since: float = 0.0


def note(file: Path, cgroup: Cgroup) -> None:
    """Of a container that has just been frozen: whom to hold when it wakes, if anybody. OSError."""
    families = prefork.families(cgroup.direct_pids())
    if families:
        children = {child for family in families.values() for child in family} - families.keys()
        call = min(max(map(prefork.longest_wait, children)), MOST_OF_A_CALL)
        _write(file, Held(cgroup.name, sorted(families), sorted(children), call))
    else:
        file.unlink(missing_ok=True)


def hold(file: Path, held: Path) -> None:
    """Before the thaw, by what was noted. OSError."""
    noted = _read(file)
    if noted:
        held.mkdir(mode=0o700, exist_ok=True)
        _write(held / file.name, replace(noted, since=time.monotonic()))
        prefork.send(signal.SIGSTOP, noted.parents, Cgroup(noted.cgroup))


def let_go(held: Path, most: float = math.inf) -> int:
    """Those whose children have run, or had `most` seconds to, and those who are wanted: to whom a signal was
    sent, as of a child that ended. How many there are to look at again. OSError."""
    files = list(held.iterdir()) if held.is_dir() else []
    return sum(_let_go(file, most) for file in files if not file.name.startswith("."))


def _let_go(file: Path, most: float) -> bool:
    """Whether it is to be looked at again."""
    held = _read(file)
    if held is None:
        return False
    cgroup, seconds = Cgroup(held.cgroup), time.monotonic() - held.since
    if cgroup.exists() and cgroup.is_frozen():
        return False  # it sleeps again: its next wake holds them anew
    have_run = seconds >= held.call + LEAST and all(map(prefork.is_at_rest, held.children))
    if not (have_run or seconds >= min(held.call + MOST, most) or any(map(prefork.has_signals, held.parents))):
        return True
    prefork.send(signal.SIGCONT, held.parents, cgroup)
    file.unlink(missing_ok=True)
    return False


def _write(file: Path, held: Held) -> None:
    new = file.with_name(f".{file.name}")
    new.write_text(json.dumps(asdict(held)))
    new.rename(file)


def _read(file: Path) -> Held | None:
    with suppress(FileNotFoundError):
        return Held(**json.loads(file.read_text()))
    return None
