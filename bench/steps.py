"""Where the time of a launch goes: the engine's own steps, one after the other in the thread that launches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from paas.network import Network
from paas.runtime import Runtime, conmon, rootfs
from paas.runtime.limits import Hold

# In their order; what they are called in the code, and what each does.
STEPS: tuple[tuple[object, str, str], ...] = (
    (conmon, "_spawn", "start conmon"),
    (Runtime, "_mount_rootfs", "mount the root"),
    (Runtime, "_write_bundle", "write the bundle"),
    (conmon, "_wait_for_daemon", "conmon forks"),
    (conmon, "_first_process", "crun begins, RCU waits"),
    (Network, "_join", "connect, crun mounts"),
    (rootfs, "let_go", "let go of the root"),
    (conmon, "_read_pid", "crun ends"),
    (Hold, "begin", "limits"),
)


@contextmanager
def timed(note: Callable[[str, float], None]) -> Iterator[None]:
    """While this lasts, `note` is told what each step was and how many seconds it took."""
    with ExitStack() as undo:
        for place, name, what in STEPS:
            plain = getattr(place, name)
            setattr(place, name, _timing(plain, what, note))
            undo.callback(setattr, place, name, plain)
        yield


def _timing(plain: Callable[..., Any], what: str, note: Callable[[str, float], None]) -> Callable[..., Any]:
    def step(*args: Any, **named: Any) -> Any:
        begin = time.monotonic()
        try:
            return plain(*args, **named)
        finally:
            note(what, time.monotonic() - begin)

    return step
