"""berth.toml -> a frozen config. docs/reference/berth.toml is its manual, and what the tests load."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from paas.builder.procfile import PROCESS_HINT, PROCESS_NAME, shell
from paas.builder.toml_table import Table, load
from paas.builder.volumes import Volumes, volumes
from paas.idle_time import HOW_TO_WRITE, idle_seconds
from paas.specs import MIB, MOST_OF_A_TYPE, HealthCheck

NAME = "berth.toml"
BUILDERS = ("python", "node", "php", "ruby", "go", "static", "dockerfile")
DEFAULT_STAGE = "production"
Pairs = tuple[tuple[str, str], ...]

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
_VARIABLE_HINT = "begin with a letter or `_`, then use letters, digits and `_`"
_RELATIVE = r"(?!/)(?!(.*/)?\.\.(/|$))[^\x00-\x1f\x7f]+"
_RELATIVE_HINT = 'write a path inside the source, like "deploy/Dockerfile", without ".."'
_SIZE = re.compile(r"(\d{1,7})([MG])(?:i?B)?")


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """[build]. "" is "not given"."""

    builder: str = ""
    dockerfile: str = ""
    target: str = ""
    python: str = ""
    node: str = ""
    php: str = ""
    ruby: str = ""
    go: str = ""
    root: str = ""
    fallback: str = ""
    args: Pairs = ()


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """[processes.<name>]. None or () is "not given": a stage overrides only what it names."""

    command: tuple[str, ...] = ()
    memory_bytes: int | None = None
    cpu_millis: int | None = None
    count: int | None = None
    private: bool | None = None
    port: int | None = None
    sleep_after: int | None = None  # idle seconds, 0 for never

    def overlaid(self, other: ProcessConfig) -> ProcessConfig:
        return ProcessConfig(
            command=other.command or self.command,
            memory_bytes=self.memory_bytes if other.memory_bytes is None else other.memory_bytes,
            cpu_millis=self.cpu_millis if other.cpu_millis is None else other.cpu_millis,
            count=self.count if other.count is None else other.count,
            private=self.private if other.private is None else other.private,
            port=other.port or self.port,
            sleep_after=self.sleep_after if other.sleep_after is None else other.sleep_after,
        )


@dataclass(frozen=True, slots=True)
class StageConfig:
    """What [stages.<name>] changes."""

    processes: dict[str, ProcessConfig] = field(default_factory=dict)
    env: Pairs = ()


@dataclass(frozen=True, slots=True)
class Config:
    build: BuildConfig = BuildConfig()
    processes: dict[str, ProcessConfig] = field(default_factory=dict)
    release: tuple[str, ...] = ()
    health: HealthCheck | None = None
    env: Pairs = ()
    volumes: Volumes = ()
    stages: dict[str, StageConfig] = field(default_factory=dict)

    def for_stage(self, name: str) -> Config:
        """The config as an app of that stage has it; a stage that is not in the file changes nothing."""
        stage = self.stages.get(name, StageConfig())
        processes = dict(self.processes)
        for process, changes in stage.processes.items():
            processes[process] = processes.get(process, ProcessConfig()).overlaid(changes)
        env = tuple((dict(self.env) | dict(stage.env)).items())
        return replace(self, processes=processes, env=env)


def parse(text: str) -> Config:
    """Raises BadInput with line and key for anything that is not documented."""
    document = load(text, NAME)
    top = Table(document, (), document.data)
    config = Config(
        build=_build(top.table("build")),
        processes=_processes(top),
        release=_release(top.table("release")),
        health=_health(top.table("health")),
        env=_env(top),
        volumes=volumes(top),
        stages={name: _stage(table) for name, table in _stages(top).items()},
    )
    top.finish()
    return config


def _build(table: Table) -> BuildConfig:
    build = BuildConfig(
        builder=table.choice("builder", BUILDERS),
        dockerfile=table.text("dockerfile", pattern=_RELATIVE, allowed=_RELATIVE_HINT),
        target=table.text(
            "target", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", allowed="name a stage of the file"
        ),
        python=_version(table, "python", "3.11"),
        node=_version(table, "node", "20"),
        php=_version(table, "php", "8.2"),
        ruby=_version(table, "ruby", "3.1"),
        go=_version(table, "go", "1.19"),
        root=table.text("root", pattern=_RELATIVE, allowed=_RELATIVE_HINT),
        fallback=table.text("fallback", pattern=_RELATIVE + r"(?<!/)", allowed='write it as "index.html"'),
        args=table.pairs("args", _VARIABLE, _VARIABLE_HINT),
    )
    table.finish()
    return build


def _version(table: Table, language: str, example: str) -> str:
    parts = r"\d{1,4}" + r"\.\d{1,4}" * example.count(".")
    return table.text(language, pattern=parts, allowed=f'write it as "{example}"')


def _processes(parent: Table) -> dict[str, ProcessConfig]:
    tables = parent.tables("processes", PROCESS_NAME.pattern, PROCESS_HINT)
    if "release" in tables:
        parent.document.wrong(
            (*parent.path, "processes", "release"), "is no process type", "use `command` in [release]"
        )
    return {name: _process(table) for name, table in tables.items()}


def _process(table: Table) -> ProcessConfig:
    process = ProcessConfig(
        command=table.command("command", shell),
        memory_bytes=_memory(table),
        cpu_millis=_cpu_millis(table),
        count=table.whole("count", None, 0, MOST_OF_A_TYPE),
        private=table.truth("private"),
        port=table.whole("port", None, 1, 65_535),
        sleep_after=_sleep(table),
    )
    table.finish()
    return process


def _cpu_millis(table: Table) -> int | None:
    cores = table.number("cpu", None, 0.05, 64)
    return None if cores is None else round(cores * 1000)


def _memory(table: Table) -> int | None:
    hint = 'write it in quotes with M or G: "256M", from "16M" to "256G"'
    text = table.text("memory", allowed=hint)
    if not text:
        return None
    size = _SIZE.fullmatch(text)
    value = int(size[1]) * MIB * (1024 if size[2] == "G" else 1) if size else 0
    if not 16 * MIB <= value <= 256 * 1024 * MIB:
        table.wrong("memory", f"{text[:40]!r} is not a size that is allowed", hint)
    return value


def _sleep(table: Table) -> int | None:
    written = table.text_or_whole("sleep", HOW_TO_WRITE)
    if written is None:
        return None
    seconds = idle_seconds(written)
    if seconds is None:
        table.wrong("sleep", f"{str(written)[:40]!r} is not a time that is allowed", HOW_TO_WRITE)
    return seconds


def _release(table: Table) -> tuple[str, ...]:
    command = table.command("command", shell)
    table.finish()
    return command


def _health(table: Table) -> HealthCheck | None:
    """None when there is no [health], and the image's own check counts."""
    path = table.text("path", pattern=r"/[\x21-\x7e]{0,1023}", allowed='write a path that begins with "/"')
    timeout = table.number("timeout", 60, 1, 600)
    table.finish()
    return HealthCheck(path=path or None, timeout=timeout or 60.0) if table.data else None


def _env(table: Table) -> Pairs:
    pairs = table.pairs("env", _VARIABLE, _VARIABLE_HINT)
    for name, _ in pairs:
        if name == "PORT" or name.upper().startswith("BERTH_"):
            table.document.wrong((*table.path, "env", name), "is set by Berth itself", "choose another name")
    return pairs


def _stages(top: Table) -> dict[str, Table]:
    return top.tables("stages", r"[a-z][a-z0-9-]{0,19}", "use at most 20 lower-case letters, digits and `-`")


def _stage(table: Table) -> StageConfig:
    stage = StageConfig(processes=_processes(table), env=_env(table))
    table.finish()
    return stage
