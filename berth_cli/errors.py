from __future__ import annotations

from collections.abc import Sequence


class CliError(Exception):
    """What went wrong and what to do next, for a person; printed to stderr, exit status 1. `log`: the last
    lines that what failed printed."""

    def __init__(self, summary: str, hint: str = "", log: Sequence[str] = ()) -> None:
        super().__init__(summary)
        self.summary, self.hint, self.log = summary, hint, log


class NotHere(CliError):
    """The server has no such thing, or none that this person may see."""


class Unreachable(CliError):
    """The server did not answer, or is just now being restarted: asking again may help."""
