"""A function of ours, carried out in a forked process: what it takes of the machine counts where that is."""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable
from typing import BinaryIO, NoReturn, TypeVar, cast

from paas.errors import BerthError
from paas.linux import syscalls as sys

T = TypeVar("T")
LOOK_SECONDS = 0.2
GRACE_SECONDS = 10.0  # for removing what is half done
_CHUNK = 65536


class _Asked(BaseException):
    """In the process: to end."""


class Ended(Exception):
    """The process ended before it had an answer; `status` is its exit status, or minus the signal's number."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the process ended with {status}")
        self.status = status


def run(work: Callable[[], T], *, enter: Callable[[], object], look: Callable[[], object]) -> T:
    """What `work` gives, or raises, in a process that `enter` puts in its place first. `look` is called here
    meanwhile, every fifth of a second, and may raise: then `work` is left as by an exception, and the process
    killed after a while. It is killed at once when its parent dies.

    `work` may read and write files. It must use no connection of its parent's (the database's, the queue's),
    which it has too. What it gives is copied (pickle), as is a BerthError or an OSError; another error comes
    as a RuntimeError with its trace. Errors: Ended.
    """
    parent = os.getpid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _live(work, enter, parent, writing)
    os.close(writing)
    try:
        answer = _heard(reading, look)
    except BaseException:
        _ask_to_end(child)
        raise
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # of one that has answered nothing is left but this
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not answer:
        raise Ended(status)
    result, error = pickle.loads(answer)  # noqa: S301 - by our own code, two lines above
    if error is not None:
        raise error
    return cast(T, result)


def _heard(reading: int, look: Callable[[], object]) -> bytes:
    """All that is written until its end."""
    heard = bytearray()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while True:
        if not poll.poll(LOOK_SECONDS * 1000):
            look()
            continue
        data = os.read(reading, _CHUNK)
        if not data:
            return bytes(heard)
        heard += data


def _ask_to_end(child: int) -> None:
    """And wait until it has."""
    ended = os.pidfd_open(child)
    try:
        os.kill(child, signal.SIGTERM)
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.poll(GRACE_SECONDS * 1000)
    finally:
        os.close(ended)


def _live(work: Callable[[], object], enter: Callable[[], object], parent: int, writing: int) -> NoReturn:
    """The child: nothing that its parent would do at its end is done here."""
    try:
        # A worker has handlers of its own for these.
        signal.signal(signal.SIGTERM, _end)
        for number in (signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        sys.prctl(sys.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before
            os._exit(1)
        gc.freeze()  # a collection would write to all that is shared with the parent
        answer = pickle.dumps(_outcome(work, enter))
        with cast(BinaryIO, os.fdopen(writing, "wb")) as file:
            file.write(answer)
    finally:
        os._exit(1)


def _end(*_: object) -> NoReturn:
    raise _Asked


def _outcome(work: Callable[[], object], enter: Callable[[], object]) -> tuple[object, Exception | None]:
    try:
        enter()
        return work(), None
    except (BerthError, OSError) as error:
        return None, error
    except Exception:
        return None, RuntimeError(traceback.format_exc())
