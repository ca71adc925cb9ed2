"""`bin/down`: stop the control plane; with --all everything; with --purge the state as well."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from paas.errors import BerthError, Refused
from paas.host import stop, swap, systemd
from paas.host.alone import alone
from paas.host.installation import Installation
from paas.host.progress import Progress


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/down",
        description="Stop the control plane. Tenants' apps go on serving unless --all is given.",
    )
    parser.add_argument("--all", action="store_true", help="also containers, ingress, networks and mounts")
    parser.add_argument(
        "--purge", action="store_true", help="with --all: delete the state folder, apps and all"
    )
    options = parser.parse_args(argv)
    if options.purge and not options.all:
        parser.error("--purge deletes every app and its data; it goes with --all")
    return options


def main(argv: list[str]) -> int:
    options = arguments(argv)
    installation, progress = Installation.from_environment(os.environ), Progress()
    try:
        if os.geteuid() != 0:
            raise Refused("bin/down stops root's processes", hint="Run: sudo bin/down")
        if options.all:  # not under the lock, which the unit's own bin/down takes
            systemd.withdraw(installation, progress)
        with alone(installation, progress):
            if options.all:
                everything(installation, progress, purge=options.purge)
            else:
                stop.control_plane(installation, progress)
    except BerthError as error:
        print(
            f"Error: {error.summary}", *([f"  {error.hint}"] if error.hint else []), sep="\n", file=sys.stderr
        )
        return 1
    return 0


def everything(installation: Installation, progress: Progress, *, purge: bool) -> None:
    state = installation.paths.state
    stop.everything(installation, progress)
    if swap.exists(installation):
        with progress.step("Swapping what is left back in"):
            swap.off(installation)
    if purge and state.exists():
        with progress.step(f"Deleting {state}"):
            shutil.rmtree(state)
    progress.say(remains(state))


def remains(state: Path) -> str:
    kept = f"{state} (apps, images, database, keys), " if state.exists() else ""
    return (
        f"\nStopped. What remains: {kept}the system user berth and the Debian packages. "
        "docs/how-to/uninstall.md says how to remove them."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
