"""What a run wrote, in order and without a gap, whoever asks and however often."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from paas import log_places
from paas.logs import LogLine
from tenants.runs.models import GOING, Run


@dataclass(frozen=True, slots=True)
class Output:
    """`next` is where to go on. `skipped`: what stood before these lines is not kept any more.

    `done`: the run has ended and this is the end of its log.
    """

    lines: list[LogLine]
    next: str
    skipped: bool = False
    done: bool = False


def read_run_log(run: Run, after: str = "") -> Output:
    """The next lines after a place (see paas.log_places), or from the beginning. Ask again until `done`.

    `run` was fetched before the log is read, so the end of one that ended meanwhile is told by the next call.
    """
    ended = run.status not in GOING
    if run.container_id is None:
        return Output([], after, done=ended)
    piece = log_places.read_on(settings.PATHS.container_log(run.container_id), after, ended=ended)
    return Output(piece.lines, piece.next, skipped=piece.skipped, done=ended and not piece.more)
