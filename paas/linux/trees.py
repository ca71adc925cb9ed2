"""Removing folders whose content tenants made."""

from __future__ import annotations

from pathlib import Path

from paas.linux.command import run

REMOVE_SECONDS = 1800.0  # a full disk of small files


def remove(folder: Path) -> None:
    """Remove it with all that is in it; absent is fine. Links are never followed.

    By rm(1): shutil.rmtree calls itself for each folder on the way down and keeps it open, and a tenant makes
    a tree of a million folders, one in the other, in a second. Errors: CommandFailed.
    """
    run(["rm", "--recursive", "--force", "--one-file-system", "--", folder], timeout=REMOVE_SECONDS)
