"""Dockerfile -> plan: the stages that the target needs, variables replaced, settings carried along. Pure."""

from __future__ import annotations

import platform
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from paas.builder.dockerfile.copying import Place, copy_step
from paas.builder.dockerfile.errors import wrong
from paas.builder.dockerfile.parser import Dockerfile, Instruction, json_list
from paas.builder.dockerfile.running import run_args, run_caches
from paas.builder.dockerfile.stages import Block, blocks_of, expanded, find, needed, parse_arg, target_of, words
from paas.builder.plan import ROOT_OWNER, FilesStep, Folder, ImageSettings, Plan, RunStep, Stage, Step
from paas.errors import BadInput, NotFound
from paas.oci.signals import signal_number
from paas.specs import ImageSpec

Resolve = Callable[[str], ImageSpec]
SCRATCH = "scratch"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(\d{1,5})(?:-\d{1,5})?(?:/(tcp|udp))?", re.IGNORECASE)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(slots=True)
class _State:
    """What the instructions of a stage have set so far."""

    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = ""
    shell: tuple[str, ...] = _SHELL
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    cmd_is_own: bool = False  # set in this stage, not by what it is FROM
    port: int | None = None
    stop_signal: str = "SIGTERM"
    steps: list[Step] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        return {**self.args, **self.env}

    @classmethod
    def of_image(cls, image: ImageSpec) -> _State:
        return cls(
            env=dict(image.env),
            workdir=image.workdir or "/",
            user=image.user,
            entrypoint=image.entrypoint,
            cmd=image.cmd,
            port=image.exposed_port,
            stop_signal=image.stop_signal,
        )

    def child(self) -> _State:
        """The state in which a stage that is FROM this one begins."""
        return replace(
            self,
            env=dict(self.env),
            args=dict(self.args),
            labels=dict(self.labels),
            cmd_is_own=False,
            steps=[],
        )


def lower(
    file: Dockerfile, resolve: Resolve, *, target: str = "", build_args: Mapping[str, str] | None = None
) -> Plan:
    """`resolve` gives the image of a name or raises NotFound. Raises BadInput with file and line."""
    return _Lowering(file, resolve, build_args or {}).plan(target)


class _Lowering:
    def __init__(self, file: Dockerfile, resolve: Resolve, build_args: Mapping[str, str]) -> None:
        self.file, self.resolve, self.build_args = file, resolve, build_args
        self.shared, self.blocks = blocks_of(file, build_args)
        self.states: dict[int, _State] = {}
        self.stages: list[Stage] = []
        self.numbers: dict[int | str, int] = {}  # a block's number or an image's name -> the plan's number
        self.notes: list[str] = []
        self.current = 0

    def plan(self, target: str) -> Plan:
        last = target_of(self.file, self.blocks, target)
        for index in needed(self.blocks, last):
            self._stage(index, self.blocks[index])
        state = self.states[last]
        return Plan(
            builder="dockerfile",
            stages=tuple(self.stages),
            image=_settings(state),
            command=(*state.entrypoint, *state.cmd),
            missing_command=f"add CMD to {self.file.name}, or `web: <command>` to a Procfile",
            notes=tuple(self.notes),
            files_read=(self.file.name,),
        )

    def _stage(self, index: int, block: Block) -> None:
        self.current = index
        parent = find(self.blocks, block.base, index)
        base: str | int = block.base if parent is None else self.numbers[parent]
        state = self._of_image(block) if parent is None else self.states[parent].child()
        for instruction in block.body:
            getattr(self, f"_{instruction.keyword.lower()}")(state, instruction)
        self.states[index] = state
        self.numbers[index] = len(self.stages)
        self.stages.append(Stage(base, tuple(state.steps), block.name))

    def _of_image(self, block: Block) -> _State:
        image = self._image(block.start, block.base)
        state = _State.of_image(image)
        state.env.setdefault("PATH", DEFAULT_PATH)
        return state

    def _image(self, instruction: Instruction, name: str) -> ImageSpec:
        if name == SCRATCH:
            return ImageSpec(digest="", layers=())
        try:
            return self.resolve(name)
        except (NotFound, BadInput) as error:
            wrong(self.file.name, instruction.line, f"{instruction.keyword}: {error.summary}", error.hint)

    # --- instructions -----------------------------------------------------------------------------
    def _run(self, state: _State, instruction: Instruction) -> None:
        state.steps.append(
            RunStep(
                title=instruction.title,
                args=run_args(self.file, instruction, state.shell),
                env=tuple(state.variables.items()),
                workdir=state.workdir,
                user=state.user or ROOT_OWNER,
                caches=run_caches(self.file, instruction),
                file=self.file.name,
                line=instruction.line,
            )
        )

    def _copy(self, state: _State, instruction: Instruction) -> None:
        place = Place(self.file, state.variables, state.workdir, self._stage_number)
        state.steps.append(copy_step(place, instruction))

    _add = _copy

    def _stage_number(self, instruction: Instruction, reference: str) -> int:
        block = find(self.blocks, reference, self.current)
        if block is not None:
            return self.numbers[block]
        if reference not in self.numbers:
            self._image(instruction, reference)
            self.numbers[reference] = len(self.stages)
            self.stages.append(Stage(reference))
        return self.numbers[reference]

    def _env(self, state: _State, instruction: Instruction) -> None:
        state.env |= self._pairs(state, instruction)

    def _label(self, state: _State, instruction: Instruction) -> None:
        state.labels |= self._pairs(state, instruction)

    def _pairs(self, state: _State, instruction: Instruction) -> dict[str, str]:
        parts = words(self.file, instruction)
        if len(parts) >= 2 and "=" not in parts[0]:  # the old form, `ENV name any words`
            parts = [f"{parts[0]}={instruction.value[len(parts[0]) :].strip()}"]
        pairs = {}
        for part in parts:
            name, equals, value = part.partition("=")
            name = self._text(state, instruction, name)
            if not equals or not name or "\0" in name:
                wrong(self.file.name, instruction.line, f"{part[:60]!r} is not `name=value`", "add the `=`")
            pairs[name] = self._text(state, instruction, value)
        if not pairs:
            wrong(
                self.file.name, instruction.line, f"{instruction.keyword} names nothing", "write `name=value`"
            )
        return pairs

    def _arg(self, state: _State, instruction: Instruction) -> None:
        architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
        given = {"TARGETOS": "linux", "TARGETARCH": architecture, "TARGETPLATFORM": f"linux/{architecture}"}
        for name, default in parse_arg(self.file, instruction, state.variables):
            value = self.build_args.get(name, default)
            if value is None:
                value = self.shared.get(name, given.get(name))
            if value is not None:
                state.args[name] = value

    def _workdir(self, state: _State, instruction: Instruction) -> None:
        path = self._text(state, instruction, instruction.value)
        if not path or "\0" in path:
            wrong(self.file.name, instruction.line, "WORKDIR names no folder", "write `WORKDIR /app`")
        state.workdir = "/" + posixpath.normpath(posixpath.join(state.workdir, path)).lstrip("/")
        if state.workdir != "/":
            folder = Folder(state.workdir)
            state.steps.append(FilesStep(instruction.title, (folder,), self.file.name, instruction.line))

    def _expose(self, state: _State, instruction: Instruction) -> None:
        for word in words(self.file, instruction):
            text = self._text(state, instruction, word)
            match = _PORT.fullmatch(text)
            if not match or not 0 < int(match[1]) < 65536:
                wrong(self.file.name, instruction.line, f"EXPOSE {text[:40]} is not a port", "write 1 to 65535")
            if (match[2] or "tcp").lower() == "tcp":
                state.port = min(int(match[1]), state.port or 65535)

    def _user(self, state: _State, instruction: Instruction) -> None:
        user = self._text(state, instruction, instruction.value)
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?", user):
            wrong(
                self.file.name,
                instruction.line,
                f"USER {user[:60]!r} is not `user[:group]`",
                "write `USER app`",
            )
        state.user = user

    def _cmd(self, state: _State, instruction: Instruction) -> None:
        state.cmd, state.cmd_is_own = self._command(state, instruction), True

    def _entrypoint(self, state: _State, instruction: Instruction) -> None:
        # As in Docker, a CMD that came with the base image was meant for another entry point.
        state.entrypoint = self._command(state, instruction)
        state.cmd = state.cmd if state.cmd_is_own else ()

    def _command(self, state: _State, instruction: Instruction) -> tuple[str, ...]:
        exec_form = json_list(instruction.value)
        if exec_form is not None:
            return exec_form
        return (*state.shell, instruction.value) if instruction.value else ()

    def _shell(self, state: _State, instruction: Instruction) -> None:
        shell = json_list(instruction.value)
        if not shell:
            wrong(self.file.name, instruction.line, "SHELL is not a list", 'write `SHELL ["/bin/bash", "-c"]`')
        state.shell = shell

    def _stopsignal(self, state: _State, instruction: Instruction) -> None:
        text = self._text(state, instruction, instruction.value).upper()
        try:
            signal_number(text)
        except BadInput as error:
            wrong(self.file.name, instruction.line, f"STOPSIGNAL: {error.summary}", error.hint)
        state.stop_signal = text if text.isdecimal() or text.startswith("SIG") else f"SIG{text}"

    def _healthcheck(self, state: _State, instruction: Instruction) -> None:
        self.notes.append(
            f"{self.file.name}, line {instruction.line}: HEALTHCHECK is not used; Berth checks as [health] "
            "in berth.toml says"
        )

    def _text(self, state: _State, instruction: Instruction, text: str) -> str:
        return expanded(self.file, instruction, text, state.variables)


def _settings(state: _State) -> ImageSettings:
    return ImageSettings(
        env=tuple(state.env.items()),
        entrypoint=state.entrypoint,
        cmd=state.cmd,
        workdir=state.workdir,
        user=state.user,
        exposed_port=state.port,
        stop_signal=state.stop_signal,
        labels=tuple(state.labels.items()),
    )
