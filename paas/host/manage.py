"""Running `manage.py` of the installed code, as the user who may."""

from __future__ import annotations

from collections.abc import Mapping

from paas.host.account import as_account
from paas.host.installation import Installation
from paas.linux.command import run


def output(
    installation: Installation,
    environment: Mapping[str, str],
    command: str,
    *args: str,
    as_root: bool = False,
    timeout: float = 120,
) -> str:
    """What the command printed."""
    argv = _argv(installation, command, *args)
    wanted = argv if as_root else as_account(argv)
    return run(wanted, env=environment, timeout=timeout, cwd=installation.code).stdout.strip()


def _argv(installation: Installation, command: str, *args: str) -> list[str]:
    return [str(installation.python), str(installation.code / "manage.py"), command, *args]
