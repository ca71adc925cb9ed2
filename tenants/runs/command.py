"""A command as a person gives it: arguments, or one line for the container's own shell."""

from __future__ import annotations

from django.conf import settings

from paas.errors import BadInput
from tenants.checks import bad_field, encodable

Command = str | list[str]
MOST_BYTES = 32 * 1024  # all arguments together


def check_command(command: Command) -> None:
    """Anything that a process can be given; what is refused is never repeated: it may hold a secret."""
    parts = [command] if isinstance(command, str) else command
    if not parts or not parts[0].strip():
        raise bad_field("command", "there is no command", hint="An example: python manage.py migrate")
    for part in parts:
        _check_part(part)
    size = sum(len(part.encode()) + 1 for part in parts)
    if size > MOST_BYTES:
        hint = "Put what is long into a file of the app's source."
        raise bad_field("command", f"the command has {size:,} bytes; at most {MOST_BYTES:,} work", hint=hint)


def _check_part(part: str) -> None:
    encodable("command", part)
    if "\0" in part:
        raise bad_field("command", "a command cannot contain NUL characters")


def checked_time_limit(seconds: int | None) -> int:
    """`seconds`, or this machine's limit if none is asked for."""
    most = settings.RUN_SECONDS
    if seconds is None:
        return int(most)
    if not 1 <= seconds <= most:
        raise BadInput(
            f"a command may run for 1 to {most:,} seconds here, not {seconds:,}",
            hint="Put longer work into a worker process, or ask the administrator to raise BERTH_RUN_SECONDS.",
            details={"field": "time_limit"},
        )
    return seconds
