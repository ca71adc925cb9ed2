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
BOOTED = Path("/run/systemd/system")  # sd_booted(3)
START_SECONDS = 1200.0  # above the unit's own time-outs to stop and to start


def unit(installation: Installation) -> str:
    template = Template((installation.clone / "packaging" / "berth.service").read_text())
    paths = installation.paths
    return template.substitute(clone=installation.clone, state=paths.state, run=paths.run)


def install(installation: Installation) -> None:
    """Write the unit where it is missing or differs, and have it started at boot."""
    if not BOOTED.is_dir():
        raise HostProblem(
            "systemd does not run this host", hint="Use bin/up --detach, and start it at boot yourself."
        )
    if not UNIT.exists() or UNIT.read_text() != unit(installation):
        files.write(UNIT, unit(installation), mode=0o644)
        run(["systemctl", "daemon-reload"])
    run(["systemctl", "enable", "--quiet", UNIT.name])


def starts(installation: Installation) -> bool:
    """Whether its processes are systemd's to start: the unit is this installation's, and we are not in it."""
    if not BOOTED.is_dir() or not UNIT.exists() or not is_of(UNIT.read_text(), installation):
        return False
    return not runs_us()


def runs_us() -> bool:
    """Whether this is a command of the unit's own."""
    return is_within(Path("/proc/self/cgroup").read_text())


def is_of(text: str, installation: Installation) -> bool:
    return f"BERTH_STATE={installation.paths.state} " in text


def is_within(cgroups: str) -> bool:
    """Whether a /proc/PID/cgroup is that of a process of the unit."""
    return any(line.endswith(f"/{UNIT.name}") for line in cgroups.splitlines())


def is_up() -> bool:
    """Also while it starts, at boot."""
    shown = run(["systemctl", "show", "--property=ActiveState", "--value", UNIT.name])
    return shown.stdout.strip() in ("active", "activating")


def restart(installation: Installation, progress: Progress) -> None:
    """Start the unit, which runs bin/up itself, or start it again. What runs outside of it ends first."""
    supervisor = Supervisor(installation)
    with progress.step("Starting by systemd"):
        if supervisor.is_running() and not is_up():
            supervisor.shut_down()
        if run(["systemctl", "restart", UNIT.name], check=False, timeout=START_SECONDS).status != 0:
            raise HostProblem(
                "systemd could not start Berth", hint=f"journalctl --unit={UNIT.name} -n 40 says why."
            )


def withdraw(installation: Installation, progress: Progress) -> None:
    """Take the unit away, if it is this installation's."""
    if not UNIT.exists() or not is_of(UNIT.read_text(), installation):
        return
    with progress.step("Removing the systemd unit"):
        run(["systemctl", "disable", "--now", UNIT.name], timeout=120)
        UNIT.unlink()
        run(["systemctl", "daemon-reload"])
