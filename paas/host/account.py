"""The system user `berth`: no password, no shell, no home. The only user that Berth adds to the host."""

from __future__ import annotations

import pwd

from paas.host.installation import ACCOUNT
from paas.linux.command import run


def ensure() -> tuple[int, int]:
    """The user's uid and gid; the user is made when missing."""
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        run(creation())
        entry = pwd.getpwnam(ACCOUNT)
    return entry.pw_uid, entry.pw_gid


def creation() -> list[str]:
    return [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir=/nonexistent",
        "--shell=/usr/sbin/nologin",
        "--comment=Berth control plane",
        ACCOUNT,
    ]


def as_account(argv: list[str]) -> list[str]:
    """`argv` run as `berth`, without any of the caller's groups."""
    return ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups", "--", *argv]
