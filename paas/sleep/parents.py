"""Parents of pre-forked servers, held back at a wake until their children have run.

gunicorn's arbiter ends a worker that it has heard nothing of for 30 seconds, Puma and Unicorn one of 60,
uvicorn one of 5. The clock goes on while a container stands still: a parent that looks before its workers have
said anything takes them for dead, together with the request that woke them.

A note beside the sleeper names such parents; at the wake it goes to the folder `held`, and stays there until
the waker has let them go, or who comes after it.
"""

from __future__ import annotations

import json
import logging
import math
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from paas.linux import prefork, sockets
from paas.linux.cgroups import Cgroup

log = logging.getLogger("sleep")
LEAST, MOST = 0.2, 10.0  # seconds that children have to run
MARGIN = 1.0  # until who waits in a call does so again, on a busy machine
MOST_OF_A_CALL = 60.0  # gunicorn's workers wait for half of its 30 seconds


@dataclass(frozen=True, slots=True)
class Held:
    """Whose cgroup, which parents, which other processes they watch over, where all of them listen, by inode,
    how many seconds the children will wait in a call first; held since (time.monotonic)."""

    cgroup: str
    parents: list[int]
    children: list[int]
    sockets: list[str]
    call: float
    since: float = 0.0


def note(file: Path, cgroup: Cgroup) -> None:
    """Of a container that has just been frozen: whom to hold when it wakes, if anybody. OSError."""
    file.unlink(missing_ok=True)
    families = prefork.families(cgroup.direct_pids())
    if families:
        parents = sorted(family.parent for family in families)
        children = sorted({child for family in families for child in family.children}.difference(parents))
        sockets = sorted({socket for family in families for socket in family.sockets})
        call = min(max(map(prefork.longest_wait, children), default=0.0), MOST_OF_A_CALL)
        _write(file, Held(cgroup.name, parents, children, sockets, call))


def hold(file: Path, held: Path) -> None:
    """Before the thaw, by what was noted. OSError."""
    noted = _read(file)
    if noted is None:
        return
    held.mkdir(mode=0o700, exist_ok=True)
    now, cgroup = held / file.name, Cgroup(noted.cgroup)
    before = _read(now)
    parents = sorted({*noted.parents, *(before.parents if before else ())})
    _write(now, replace(noted, parents=parents, since=time.monotonic()))
    prefork.send(signal.SIGSTOP, parents, cgroup)
    if not now.exists():  # somebody else woke it, and let them go meanwhile
        prefork.send(signal.SIGCONT, parents, cgroup)


def let_go(held: Path, most: float = math.inf) -> int:
    """Those whose children have run, or had `most` seconds to, and those who are wanted: to whom a signal was
    sent, as of a child that ended, or a caller whom no child takes. How many there are to look at again."""
    files = list(held.iterdir()) if held.is_dir() else []
    return sum(_let_go(file, most) for file in files if not file.name.startswith("."))


def _let_go(file: Path, most: float) -> bool:
    """Whether it is to be looked at again."""
    try:
        held = _read(file)
        if held is None or _stays(held, most):
            return held is not None and not _sleeps(held)
        prefork.send(signal.SIGCONT, held.parents, Cgroup(held.cgroup))
        file.unlink(missing_ok=True)
    except OSError as error:  # the others wait to be let go, too
        _say_once(str(error))
        return True
    except (ValueError, TypeError) as error:  # no later look will understand it either
        _say_once(f"{file} makes no sense: {error}")
        file.unlink(missing_ok=True)
    return False


def _stays(held: Held, most: float) -> bool:
    seconds = time.monotonic() - held.since
    if _sleeps(held):
        return True  # its next wake holds them anew
    if seconds >= min(held.call + MOST, most) or any(map(prefork.has_signals, held.parents)):
        return False
    if seconds < LEAST or not all(map(prefork.is_at_rest, held.children)):
        return True
    if not held.call or seconds >= held.call + MARGIN:
        return False
    return not sockets.has_callers(held.parents[0], held.sockets)


def _sleeps(held: Held) -> bool:
    cgroup = Cgroup(held.cgroup)
    return cgroup.exists() and cgroup.is_frozen()


@cache
def _say_once(why: str) -> None:
    log.warning("cannot let go of a server's parent: %s", why)


def _write(file: Path, held: Held) -> None:
    new = file.with_name(f".{file.name}")
    new.write_text(json.dumps(asdict(held)))
    new.rename(file)


def _read(file: Path) -> Held | None:
    with suppress(FileNotFoundError):
        return Held(**json.loads(file.read_text()))
    return None
