"""Handing over to systemd, for production: started at boot, started again when supervisord dies."""

from __future__ import annotations

from pathlib import Path
from string import Template

from paas.errors import HostProblem
from paas.host import files
from paas.host.installation import Installation
from paas.host.progress import Progress
from paas.host.supervisor import Supervisor
from paas.linux.command import run

UNIT = Path("/etc/systemd/system/berth.service")


def unit(installation: Installation) -> str:
    template = Template((installation.clone / "packaging" / "berth.service").read_text())
    paths = installation.paths
    return template.substitute(clone=installation.clone, state=paths.state, run=paths.run)


def hand_over(installation: Installation, progress: Progress) -> None:
    """Install and start the unit; what bin/up started by itself is stopped first."""
    if not Path("/run/systemd/system").is_dir():
        raise HostProblem(
            "systemd does not run this host", hint="Use bin/up --detach, and start it at boot yourself."
        )
    if not UNIT.exists() or UNIT.read_text() != unit(installation):
        files.write(UNIT, unit(installation), mode=0o644)
        run(["systemctl", "daemon-reload"])
    if run(["systemctl", "is-active", "--quiet", UNIT.name], check=False).status != 0:
        with progress.step("Handing over to systemd"):
            supervisor = Supervisor(installation)
            if supervisor.is_running():
                supervisor.shut_down()
            run(["systemctl", "enable", "--now", UNIT.name], timeout=900)


def withdraw(installation: Installation, progress: Progress) -> None:
    """Take the unit away, if it is this installation's."""
    if not UNIT.exists() or f"BERTH_STATE={installation.paths.state} " not in UNIT.read_text():
        return
    with progress.step("Removing the systemd unit"):
        run(["systemctl", "disable", "--now", UNIT.name], timeout=120)
        UNIT.unlink()
        run(["systemctl", "daemon-reload"])
