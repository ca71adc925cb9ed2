"""Every error that Berth raises on purpose.

BerthError              what happened, why, what to do next
├── BadInput            somebody's file, archive, form or request is wrong; trying again changes nothing
│   ├── TooLarge        more bytes than the limit that `summary` names
│   └── NeedsLength     a form of unknown length, which cannot be read to its end
├── Refused             understood, and not allowed (a limit, a policy, an isolation rule)
│   └── TooMany         too many attempts from one address; `retry_after` says when to come back
├── NotFound            no such thing, or not yours: the two look the same on purpose
├── Conflict            the thing changed meanwhile; look again
├── StepFailed          a tenant's own command failed (a build step, a release command, a start)
└── HostProblem         this machine lacks something or misbehaves; `retryable` says if waiting may help
    ├── LimitRefused    the kernel keeps a former limit, mostly for what runs holds more; all others are set
    └── CommandFailed   a host program exited non-zero; carries a line that can be pasted and run again
"""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> Any:
    """`value`, of what JSON knows, with its texts (not the keys) such as can be kept anywhere."""
    if isinstance(value, str):
        return value.replace("\0", "\u2400").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


class BerthError(Exception):
    """An error for a person: `summary` says what and why, `hint` what to do next.

    `details` are facts for a reader or a program (strings, numbers, lists), never secrets. All may quote what
    a tenant's program wrote: NUL and half surrogate pairs, which PostgreSQL does not keep, are shown as signs.
    """

    retryable = False

    def __init__(self, summary: str, *, hint: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(summary)
        self.summary = plain(summary)
        self.hint = plain(hint)
        self.details = details or {}

    def __str__(self) -> str:
        return f"{self.summary}; {self.hint}" if self.hint else self.summary

    def as_dict(self) -> dict[str, Any]:
        return {"summary": self.summary, "hint": self.hint, "details": plain(self.details)}


class BadInput(BerthError):
    pass


class TooLarge(BadInput):
    pass


class NeedsLength(BadInput):
    pass


class Refused(BerthError):
    pass


class TooMany(Refused):
    retryable = True

    def __init__(self, summary: str, *, retry_after: int, hint: str = "") -> None:
        super().__init__(summary, hint=hint, details={"retry_after": retry_after})
        self.retry_after = retry_after


class NotFound(BerthError):
    pass


class Conflict(BerthError):
    retryable = True


class StepFailed(BerthError):
    pass


class HostProblem(BerthError):
    def __init__(
        self, summary: str, *, hint: str = "", details: dict[str, Any] | None = None, retryable: bool = False
    ) -> None:
        super().__init__(summary, hint=hint, details=details)
        self.retryable = retryable


class LimitRefused(HostProblem):
    def __init__(self, summary: str, *, hint: str = "") -> None:
        super().__init__(summary, hint=hint, retryable=True)


class CommandFailed(HostProblem):
    """A host program failed. `status` is its exit status, or minus the signal that ended it."""

    def __init__(self, replay: str, status: int, stderr: str) -> None:
        last = stderr.strip().splitlines()[-1] if stderr.strip() else "no message"
        super().__init__(
            f"command exited with {status}: {last}", details={"replay": replay, "stderr": stderr[-4000:]}
        )
        self.replay, self.status, self.stderr = replay, status, stderr
