"""Config vars as people set them: keys, values and sizes that every process environment can hold."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tenants.checks import bad_field, encodable

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
VALUE_MAX_BYTES = 64 * 1024  # execve(2) allows 128 KiB for one string
TOTAL_MAX_BYTES = 256 * 1024
Changes = Mapping[str, str | None]


def check_changes(changes: Changes) -> None:
    """BadInput that names the key in `details["field"]`; a value never appears in a message."""
    for key, value in changes.items():
        _check_key(key)
        if value is not None:
            _check_value(key, value)


def check_total(config: Mapping[str, str]) -> None:
    total = sum(len(key.encode()) + len(value.encode()) for key, value in config.items())
    if total > TOTAL_MAX_BYTES:
        hint = "Keep large data in a file or a database."
        raise bad_field("config", f"all config vars together pass {TOTAL_MAX_BYTES // 1024} KiB", hint=hint)


def _check_key(key: str) -> None:
    if not KEY.fullmatch(key) or len(key) > 128:
        hint = "Use letters, digits and _, not beginning with a digit, at most 128."
        raise bad_field(key, f"{key!r} cannot be a config var's name", hint=hint)
    if key == "PORT" or key.upper().startswith("BERTH_"):
        raise bad_field(key, f"{key} is set by Berth itself", hint="Choose another name.")


def _check_value(key: str, value: str) -> None:
    encodable(key, value)
    if "\0" in value:
        raise bad_field(key, f"the value of {key} has a NUL byte, which no environment can hold")
    if "\r" in value:
        hint = "Save it with Unix line ends (LF)."
        raise bad_field(key, f"the value of {key} has a carriage return", hint=hint)
    if len(value.encode()) > VALUE_MAX_BYTES:
        hint = "Keep large data in a file or a database."
        raise bad_field(key, f"the value of {key} is larger than {VALUE_MAX_BYTES // 1024} KiB", hint=hint)
