"""Digests: `sha256:` and 64 lower-case hexadecimal digits (OCI image spec, descriptor.md)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from paas.errors import BadInput

_SHA256 = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


def hex_of(digest: str) -> str:
    """The 64 digits of a digest, checked: safe as a file name."""
    if match := _SHA256.fullmatch(digest):
        return match[1]
    raise BadInput(
        f"{digest[:100]!r} is not a sha256 digest", hint='write it as "sha256:" and 64 digits 0-9a-f'
    )


def is_digest(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def is_hex(text: str) -> bool:
    return _HEX.fullmatch(text) is not None


def of_bytes(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def canonical_json(value: Any) -> bytes:
    """One spelling for each value, so that equal documents have equal digests."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
