"""Procfile, berth.toml and the image's own command -> process types. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from paas.builder.config import Config, ProcessConfig
from paas.builder.plan import Plan
from paas.builder.procfile import Procfile, shell
from paas.errors import BadInput
from paas.specs import MIB, ProcessSpec

DEFAULT_MEMORY = 256 * MIB
DEFAULT_CPU = 1000


def formation(
    config: Config, procfile: Procfile, plan: Plan, counts: Mapping[str, int] | None = None
) -> tuple[ProcessSpec, ...]:
    """`config` is the one for the app's stage. Web first, the others in the order of their files.

    `counts` is how many of a process there are where `config` does not say.
    """
    commands = named_commands(config, procfile)
    if "web" not in commands and plan.command and not (plan.is_guess and commands):
        commands["web"] = plan.command
    if plan.replaces and commands.get("web") == plan.replaces:
        commands["web"] = plan.command
    if not commands:
        hint = "; ".join((*procfile.notes[:1], plan.missing_command))
        raise BadInput("no process is named: Berth does not know what to run", hint=hint)
    for name in config.processes:
        if name not in commands:
            raise BadInput(
                f"berth.toml: processes.{name} has no command, and the Procfile does not name it either",
                hint=f'add command = "…" to [processes.{name}]',
                details={"file": "berth.toml", "key": f"processes.{name}.command"},
            )
        _check_sleep(name, config.processes[name])
    return tuple(
        _spec(name, commands[name], config, counts or {})
        for name in sorted(commands, key=lambda name: name != "web")
    )


def named_commands(config: Config, procfile: Procfile) -> dict[str, tuple[str, ...]]:
    """What the two files say; berth.toml wins."""
    commands = {name: shell(command) for name, command in procfile.commands.items()}
    return commands | {name: process.command for name, process in config.processes.items() if process.command}


def _spec(name: str, args: tuple[str, ...], config: Config, counts: Mapping[str, int]) -> ProcessSpec:
    process = config.processes.get(name, ProcessConfig())
    return ProcessSpec(
        name=name,
        args=args,
        count=counts.get(name, 1) if process.count is None else process.count,
        memory_bytes=process.memory_bytes or DEFAULT_MEMORY,
        cpu_millis=process.cpu_millis or DEFAULT_CPU,
        private=bool(process.private),
        port=process.port,
        sleep_after=process.sleep_after,
    )


def _check_sleep(name: str, process: ProcessConfig) -> None:
    if process.sleep_after and name != "web" and not process.port:
        raise BadInput(
            f"berth.toml: processes.{name}.sleep: it has no port, so nothing could wake it",
            hint=f"take `sleep` out of [processes.{name}], or give it the `port` that it listens on",
            details={"file": "berth.toml", "key": f"processes.{name}.sleep"},
        )


def release_command(config: Config, procfile: Procfile) -> tuple[str, ...]:
    return config.release or (shell(procfile.release) if procfile.release else ())
