"""Dockerfile -> plan: the stages that the target needs, variables replaced, settings carried along. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from paas.builder.dockerfile.copying import copy_step
from paas.builder.dockerfile.errors import wrong
from paas.builder.dockerfile.parser import Dockerfile, Instruction
from paas.builder.dockerfile.running import run_step
from paas.builder.dockerfile.scope import Scope, State, runs_nothing
from paas.builder.dockerfile.settings import INSTRUCTIONS
from paas.builder.dockerfile.stages import Block, blocks_of, check_platform, find, needed, target_of
from paas.builder.health import readiness
from paas.builder.plan import Copy, FilesStep, Plan, Stage
from paas.errors import BadInput, NotFound
from paas.oci.config import ImageConfig

Resolve = Callable[[str], ImageConfig]
SCRATCH = "scratch"


def lower(
    file: Dockerfile, resolve: Resolve, *, target: str = "", build_args: Mapping[str, str] | None = None
) -> Plan:
    """`resolve` gives an image's config by its name or raises NotFound. Raises BadInput with file and line."""
    return _Lowering(file, resolve, build_args or {}).plan(target)


class _Lowering:
    def __init__(self, file: Dockerfile, resolve: Resolve, arguments: Mapping[str, str]) -> None:
        self.file, self.resolve, self.arguments = file, resolve, arguments
        self.shared, self.blocks = blocks_of(file, arguments)
        self.states: dict[int, State] = {}
        self.stages: list[Stage] = []
        # The plan's number of a block by its number, of an image by its name, of a path of the source.
        self.numbers: dict[int | str | tuple[str], int] = {}
        self.notes = list(file.notes)
        self.current = 0

    def plan(self, target: str) -> Plan:
        last = target_of(self.file, self.blocks, target)
        for index in needed(self.blocks, last):
            self._stage(index, self.blocks[index])
        state = self.states[last]
        return Plan(
            builder="dockerfile",
            stages=tuple(self.stages),
            image=state.settings(),
            command=(*state.entrypoint, *state.cmd),
            command_note=self._command_note(state),
            missing_command=f"add CMD to {self.file.name}, or `web: <command>` to a Procfile",
            health=readiness(state.healthcheck, state.shell),
            notes=tuple(self.notes),
            files_read=(self.file.name,),
        )

    def _command_note(self, state: State) -> str:
        if not runs_nothing(state):
            return ""
        return (
            f"{self.file.name} has no CMD: what runs is the base image's {state.cmd[0]!r}, which ends at once "
            "without a terminal. Add CMD, or `web: <command>` to a Procfile."
        )

    def _stage(self, index: int, block: Block) -> None:
        self.current = index
        check_platform(self.file, block, self.shared)
        parent = find(self.blocks, block.base, index)
        base: str | int = block.base if parent is None else self.numbers[parent]
        if parent is None:
            image = self._image(block.start, block.base)
            self._refuse_triggers(block, image)
            state = State.of_image(image)
        else:
            state = self.states[parent].child()
        scope = Scope(
            self.file, state, self.arguments, self.shared, self._stage_of, self._context_of, self.notes.append
        )
        for instruction in block.body:
            _read(scope, instruction)
        self.states[index] = state
        self.numbers[index] = len(self.stages)
        name = block.name or str(index)  # as `COPY --from` calls it
        self.stages.append(Stage(base, tuple(state.steps), name, tuple(state.unstepped)))

    def _image(self, at: Instruction, name: str) -> ImageConfig:
        if name == SCRATCH:
            return ImageConfig()
        try:
            return self.resolve(name)
        except (NotFound, BadInput) as error:
            wrong(self.file.name, at.line, f"{at.keyword}: {error.summary}", error.hint)

    def _refuse_triggers(self, block: Block, image: ImageConfig) -> None:
        triggers = image.other("OnBuild")
        if triggers:
            first = str(triggers[0] if isinstance(triggers, list) else triggers)
            reason = (
                f"FROM {block.base}: the image has ONBUILD triggers ({first[:60]!r} is the first), refused here"
            )
            wrong(
                self.file.name,
                block.start.line,
                reason,
                "take an image without them, and write what they do into this file",
            )

    def _stage_of(self, at: Instruction, reference: str) -> int:
        block = find(self.blocks, reference, self.current)
        if block is not None:
            return self.numbers[block]
        if reference not in self.numbers:
            self._image(at, reference)
            self.numbers[reference] = self._add(Stage(reference, name=reference))
        return self.numbers[reference]

    def _context_of(self, at: Instruction, path: str) -> int:
        """The source is shown as a layer: without what .dockerignore leaves out, with ids that a container may
        read, and looked up in the cache like any other."""
        if (path,) not in self.numbers:
            copy = Copy((path,), "/" if path == "." else f"/{path}")
            step = FilesStep(f"{path} for {at.title}", (copy,), self.file.name, at.line)
            self.numbers[(path,)] = self._add(Stage(SCRATCH, (step,), "source"))
        return self.numbers[(path,)]

    def _add(self, stage: Stage) -> int:
        self.stages.append(stage)
        return len(self.stages) - 1


def _read(scope: Scope, at: Instruction) -> None:
    if at.keyword == "RUN":
        scope.state.steps.append(run_step(scope, at))
    elif at.keyword in ("COPY", "ADD"):
        scope.state.steps.append(copy_step(scope, at))
    else:
        before = len(scope.state.steps)
        INSTRUCTIONS[at.keyword](scope, at)
        if len(scope.state.steps) == before:
            scope.state.unstepped.append((before, at.text))
