from __future__ import annotations

from typing import NoReturn

from paas.errors import BadInput


def wrong(file: str, line: int, reason: str, hint: str = "") -> NoReturn:
    raise BadInput(f"{file}, line {line}: {reason}", hint=hint, details={"file": file, "line": line})
