"""What an instruction is read in: its file, and what those before it in its stage have set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn

from paas.builder.dockerfile.errors import wrong
from paas.builder.dockerfile.parser import Dockerfile, Instruction
from paas.builder.dockerfile.words import Unreadable, expand, expand_text, split
from paas.builder.health import SHELL
from paas.builder.plan import ImageSettings, Step
from paas.oci.config import Healthcheck, ImageConfig

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TEXT_MAX = 1024 * 1024
# What images of systems and languages run that name nothing: it reads commands, and ends where there are none.
_INTERACTIVE = frozenset({"sh", "bash", "dash", "ash", "zsh", "python", "python3", "node", "irb", "jshell"})
# It runs what it is given, in the images of languages.
_PASSING_ON = ((), ("docker-entrypoint.sh",))


@dataclass(slots=True)
class State:
    """What the instructions of a stage have set so far."""

    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = ""
    own_shell: tuple[str, ...] = ()  # by SHELL, here or in what it is FROM
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    cmd_is_own: bool = False  # set in this stage, not by what it is FROM
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    healthcheck: Healthcheck | None = None
    author: str = ""
    steps: list[Step] = field(default_factory=list)
    unstepped: list[tuple[int, str]] = field(default_factory=list)  # see Stage.settings

    @property
    def variables(self) -> dict[str, str]:
        return {**self.args, **self.env}

    @property
    def shell(self) -> tuple[str, ...]:
        return self.own_shell or SHELL

    @classmethod
    def of_image(cls, image: ImageConfig) -> State:
        return cls(
            env={"PATH": DEFAULT_PATH} | dict(image.env),
            labels=dict(image.labels),
            workdir=image.workdir or "/",
            user=image.user,
            own_shell=image.shell,
            entrypoint=image.entrypoint,
            cmd=image.cmd,
            ports=image.exposed_ports,
            volumes=image.volumes,
            stop_signal=image.stop_signal,
            healthcheck=image.healthcheck,
            author=image.author,
        )

    def child(self) -> State:
        """The state in which a stage that is FROM this one begins."""
        return replace(
            self,
            env=dict(self.env),
            args=dict(self.args),
            labels=dict(self.labels),
            cmd_is_own=False,
            steps=[],
            unstepped=[],
        )

    def settings(self) -> ImageSettings:
        return ImageSettings(
            env=tuple(self.env.items()),
            entrypoint=self.entrypoint,
            cmd=self.cmd,
            workdir=self.workdir,
            user=self.user,
            exposed_ports=self.ports,
            stop_signal=self.stop_signal,
            labels=tuple(self.labels.items()),
            volumes=self.volumes,
            healthcheck=self.healthcheck,
            shell=self.own_shell,
            author=self.author,
        )


def runs_nothing(state: State) -> bool:
    """Its command is the base image's, and no more than a shell or the like."""
    inherited = not state.cmd_is_own and state.entrypoint in _PASSING_ON
    return inherited and len(state.cmd) == 1 and state.cmd[0].rpartition("/")[2] in _INTERACTIVE


@dataclass(frozen=True, slots=True)
class Scope:
    """`arguments` are the values given from outside, `shared` those of the ARGs in front of the first FROM.

    `stage_of` gives the plan's number of the stage or image that a `from` names, `context_of` that of a stage
    with nothing but some path of the source. `note` puts a line into the build log.
    """

    file: Dockerfile
    state: State
    arguments: Mapping[str, str]
    shared: Mapping[str, str]
    stage_of: Callable[[Instruction, str], int]
    context_of: Callable[[Instruction, str], int]
    note: Callable[[str], None]

    def wrong(self, at: Instruction, reason: str, hint: str = "") -> NoReturn:
        wrong(self.file.name, at.line, reason, hint)

    def words(self, at: Instruction, value: str | None = None) -> list[str]:
        return words(self.file, at, value)

    def text(self, at: Instruction, text: str) -> str:
        """With its variables replaced and its quotes removed."""
        return expanded(self.file, at, text, self.state.variables)

    def heredoc(self, at: Instruction, content: str) -> str:
        try:
            return expand_text(content, self.state.variables, _TEXT_MAX)
        except Unreadable as error:
            self.wrong(at, f"here-document: {error}", "quote its name, as in <<'EOF', to keep it as it is")


def words(file: Dockerfile, at: Instruction, value: str | None = None) -> list[str]:
    try:
        return split(at.value if value is None else value, file.escape)
    except Unreadable as error:
        wrong(file.name, at.line, f"{at.keyword}: {error}", "close it, or escape it")


def expanded(file: Dockerfile, at: Instruction, text: str, variables: Mapping[str, str]) -> str:
    try:
        return expand(text, variables, file.escape)
    except Unreadable as error:
        wrong(file.name, at.line, f"{at.keyword}: {error}", "see the Dockerfile reference")
