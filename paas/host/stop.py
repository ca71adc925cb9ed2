"""Stopping the control plane, with or without the ingress and the tenants' containers."""

from __future__ import annotations

from paas.host import environment, leftovers, run_folder, systemd
from paas.host.installation import Installation
from paas.host.programs import INGRESS
from paas.host.progress import Progress
from paas.host.supervisor import Supervisor
from paas.linux import namespaces
from paas.linux.command import run

IDLE = frozenset({"STOPPED", "EXITED", "FATAL"})


def running_programs(supervisor: Supervisor) -> tuple[str, ...]:
    """The control plane's own programs that run; the ingress is not one of them."""
    if not supervisor.is_running():
        return ()
    return tuple(n for n, state in supervisor.states().items() if n != INGRESS and state not in IDLE)


def control_plane(installation: Installation, progress: Progress) -> None:
    """All but supervisord and the ingress, through which the apps go on answering."""
    supervisor = Supervisor(installation)
    names = running_programs(supervisor)
    if not names:
        progress.say("The control plane is not running.")
        return
    with progress.step(f"Stopping {', '.join(names)}"):
        supervisor.stop(names)
    if not systemd.runs_us():  # which goes on to stop the ingress
        progress.say(
            "\nTenants' containers and the ingress go on serving. Start again with bin/up; "
            "stop everything with bin/down --all."
        )


def everything(installation: Installation, progress: Progress) -> None:
    """Leave nothing of this installation on the host but its state folder."""
    supervisor = Supervisor(installation)
    if supervisor.is_running():
        with progress.step("Stopping every process of the control plane"):
            supervisor.shut_down()
    leftovers.end(installation)
    if installation.environment.exists() and installation.python.exists():
        with progress.step("Stopping containers, removing their network and mounts"):
            tear_down(installation)
    with progress.step("Removing the run folder"):
        run_folder.remove(installation)


def tear_down(installation: Installation) -> None:
    """In the mount namespace, where the mounts are, with the code and settings that made them."""
    settings = environment.parse(installation.environment.read_text(), str(installation.environment))
    inside = installation.paths.mount_namespace
    enter = ["nsenter", f"--mount={inside}", "--"] if namespaces.is_pinned(inside) else []
    run(
        [*enter, installation.python, "-m", "paas.host.teardown"],
        env=environment.processes(settings, installation.code, installation.venv),
        cwd=installation.code,
        timeout=600,
    )
