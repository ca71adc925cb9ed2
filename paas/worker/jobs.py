"""What somebody asked for by a row, done by a worker that may be at it for long, and told in that row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from django.conf import settings
from django.db import OperationalError, close_old_connections
from django.db.models import Model

from paas.errors import BerthError, HostProblem
from paas.worker import lock

MOST_ATTEMPTS = 3
CANCEL_LOOK_SECONDS = 0.5
Row = TypeVar("Row")


class Attempted(Protocol):
    pk: Any
    status: str
    attempts: int


Job = TypeVar("Job", bound=Attempted)


@contextmanager
def claimed(kind: str, pk: str, claim: Callable[[str], Row | None]) -> Iterator[Row | None]:
    """The row, this worker's for as long as the block lasts; None where another worker has it or had it."""
    name = f"{kind}-{pk}"
    with lock.held(name) as mine:
        yield claim(pk) if mine else None
    (settings.PATHS.locks / name).unlink(missing_ok=True)


@contextmanager
def told(failed: Callable[[dict[str, Any]], object], ours: HostProblem) -> Iterator[None]:
    """Whoever asked is told of an error in here. Of Berth's own mistakes they hear `ours`, and the worker's log
    has the trace."""
    try:
        yield
    except BerthError as error:
        failed(error.as_dict())
    except Exception:
        failed(ours.as_dict())
        raise


class CancelAsked:
    """Whether somebody took back what a row (with `cancel_asked_at`) asks for. Asks the database twice a
    second; while that is away, the work goes on."""

    def __init__(self, row: Model) -> None:
        self._same = type(row)._default_manager.filter(pk=row.pk, cancel_asked_at__isnull=False)
        self._looked, self.found = 0.0, False

    def __call__(self) -> bool:
        if not self.found and time.monotonic() - self._looked > CANCEL_LOOK_SECONDS:
            self._looked = time.monotonic()
            close_old_connections()
            with suppress(OperationalError):
                self.found = self._same.exists()
        return self.found


def requeue_interrupted(
    kind: str,
    jobs: Iterable[Job],
    *,
    interrupted: Callable[[Job], bool],
    failed: Callable[[Job, dict[str, Any]], object],
    clear: Callable[[Job], object] = lambda job: None,
) -> list[str]:
    """Of jobs that wait or run: those whose message may be lost, and those whose worker died. What that left is
    taken away by `clear`. One that was begun too often has failed."""
    again = []
    for job in jobs:
        if job.status == "queued":
            again.append(job.pk)
        elif lock.is_free(f"{kind}-{job.pk}"):
            clear(job)
            if job.attempts >= MOST_ATTEMPTS:
                error = HostProblem(f"the {kind} was interrupted again and again", hint="ask for it again")
                failed(job, error.as_dict())
            elif interrupted(job):
                again.append(job.pk)
    return again
