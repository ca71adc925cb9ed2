"""What somebody asked for by a row, done by a worker that may be at it for long, and told in that row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from django.conf import settings

from paas.errors import BerthError, HostProblem
from paas.worker import lock

MOST_ATTEMPTS = 3
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
