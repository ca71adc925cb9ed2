"""Giving up what root has, for good, in a process that is forked and runs on: setpriv(1) without a program."""

from __future__ import annotations

import os
import pwd
import signal
from pathlib import Path

from paas.linux import syscalls as sys

_LAST = Path("/proc/sys/kernel/cap_last_cap")


def give_up(account: str) -> None:
    """Become the user `account`, in its own group alone, with no capability and none to be gained."""
    entry = pwd.getpwnam(account)
    for capability in range(int(_LAST.read_text()) + 1):
        sys.prctl(sys.PR_CAPBSET_DROP, capability)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)  # ambient ones go with it (capabilities(7))
    sys.drop_capabilities()
    sys.prctl(sys.PR_SET_NO_NEW_PRIVS, 1)


def end_with_parent() -> None:
    """SIGTERM when the parent dies. After a change of user, which takes it back (prctl(2))."""
    sys.prctl(sys.PR_SET_PDEATHSIG, signal.SIGTERM)
