"""Django's key and the key that encrypts config vars: made once, in files that `berth` may read, not change."""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.fernet import Fernet

from paas.host import files
from paas.host.installation import Installation


def ensure(installation: Installation, gid: int) -> None:
    """Make the keys that are missing. An existing key is never replaced: it decrypts what is stored."""
    _keep(installation.secret_key, secrets.token_urlsafe(48), gid)
    _keep(installation.field_keys, Fernet.generate_key().decode(), gid)


def _keep(path: Path, value: str, gid: int) -> None:
    if not path.exists():
        files.write(path, value + "\n", mode=0o640, gid=gid)
