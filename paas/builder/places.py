"""Errors of a step, with the place in the tenant's own file."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from paas.builder.log import short
from paas.builder.plan import Step
from paas.builder.sources import NotThere
from paas.errors import BadInput, Refused, StepFailed

_FULL = (errno.ENOSPC, errno.EDQUOT)


def place(step: Step) -> str:
    if not step.file:
        return ""
    return f"{step.file}, line {step.line}: " if step.line else f"{step.file}: "


def placed(step: Step, reason: str, hint: str) -> BadInput:
    return BadInput(f"{place(step)}{short(step.title)}: {reason}", hint=hint, details=facts(step))


def facts(step: Step) -> dict[str, str | int]:
    return {"instruction": short(step.title), "file": step.file, "line": step.line}


@contextmanager
def errors_placed(step: Step) -> Iterator[None]:
    """What goes wrong for a reason of the tenant's is told with the place; a full disk is such a reason."""
    try:
        yield
    except (BadInput, Refused, StepFailed) as error:
        kind = next(kind for kind in (BadInput, Refused, StepFailed) if isinstance(error, kind))
        summary = f"{place(step)}{short(step.title)}: {error.summary}"
        own = f"{step.hint}; " if step.hint and isinstance(error, NotThere) else ""
        raise kind(summary, hint=own + error.hint, details={**error.details, **facts(step)}) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StepFailed(
            f"{place(step)}{short(step.title)}: your disk is full",
            hint="make the step write less, or ask an administrator for a larger disk",
            details=facts(step),
        ) from error
