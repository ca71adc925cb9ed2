"""A plan, carried out: each step from the build cache or in the sandbox, then the image."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paas.builder import copying
from paas.builder.destination import Destination
from paas.builder.hints import hint
from paas.builder.keys import step_key
from paas.builder.log import BuildLog, amount, files_and_folders
from paas.builder.plan import Copy, FilesStep, Folder, ImageSettings, Operation, Plan, RunStep, Stage, Step
from paas.builder.sandbox import BuildCancelled, Sandbox, StepResult
from paas.builder.tree import Tree
from paas.errors import BadInput, Refused, StepFailed
from paas.images import LayerInfo, Store
from paas.oci.config import History, ImageConfig
from paas.specs import ImageSpec

SCRATCH = "scratch"
MAX_LAYERS = 60  # what fits into mount(2)'s one page of options
MAX_LAYER_BYTES = 8 * 1024**3
MAX_LAYER_FILES = 500_000
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Chain:
    """An image under way: its layers, bottom first, and what is said of how they came to be."""

    layers: tuple[str, ...] = ()
    history: tuple[History, ...] = ()
    architecture: str = ""

    def on_top(self, info: LayerInfo, title: str) -> Chain:
        """A step without a change makes no layer. One that makes a layer again moves it to the top.

        Overlayfs takes no layer twice, and the upper one hides the lower one whatever is between them.
        """
        history = (*self.history, History(created_by=title, empty_layer=info.files == 0))
        if info.files == 0:
            return Chain(self.layers, history, self.architecture)
        if info.diff_id in self.layers:
            history = _without_layer(history, self.layers.index(info.diff_id))
        others = tuple(layer for layer in self.layers if layer != info.diff_id)
        return Chain((*others, info.diff_id), history, self.architecture)


def _without_layer(history: tuple[History, ...], index: int) -> tuple[History, ...]:
    """The history when the layer with this number (bottom first) is gone: its step made none, as it were."""
    makers = [at for at, step in enumerate(history) if not step.empty_layer]
    gone = makers[index] if index < len(makers) else -1
    return tuple(replace(step, empty_layer=True) if at == gone else step for at, step in enumerate(history))


class Execution:
    """One build. `source` is open and unchanging; `cancelled` is asked between and within steps."""

    def __init__(
        self,
        source: Tree,
        *,
        tenant_id: str,
        store: Store,
        sandbox: Sandbox,
        log: BuildLog,
        cancelled: Callable[[], bool],
    ) -> None:
        self.source, self.tenant_id, self.store = source, tenant_id, store
        self.sandbox, self.log, self.cancelled = sandbox, log, cancelled
        self.stages: list[Chain] = []
        self.steps_done = self.steps_cached = 0

    def run(self, plan: Plan) -> ImageSpec:
        """Raises BadInput or StepFailed with file, line and what to do, BuildCancelled when it was."""
        for stage in plan.stages:
            self.stages.append(self._stage(stage, plan.steps_total))
        self.check()
        return self.store.put_image(_image_config(self.stages[-1], plan.image))

    def check(self) -> None:
        if self.cancelled():
            raise BuildCancelled("the build was cancelled", hint="deploy again when you are ready")

    def _stage(self, stage: Stage, total: int) -> Chain:
        chain = self._base(stage.base)
        for step in stage.steps:
            self.check()
            self.steps_done += 1
            chain = self._step(chain, step, f"Step {self.steps_done}/{total} {step.title}")
        return chain

    def _base(self, base: str | int) -> Chain:
        if isinstance(base, int):
            return self.stages[base]
        if base == SCRATCH:
            with tempfile.TemporaryDirectory() as empty:
                info = self.store.commit_changeset(Path(empty))
            machine = platform.machine()
            return Chain((info.diff_id,), (History("FROM scratch"),), _ARCHITECTURES.get(machine, machine))
        config = self.store.config(self.store.resolve(base))
        return Chain(config.diff_ids, config.history, config.architecture)

    def _step(self, chain: Chain, step: Step, announced: str) -> Chain:
        key = self._key(chain, step)
        found = self.store.cached_step(key)
        if found:
            self.steps_cached += 1
            self.log.line(f"{announced}: cached")
            return chain.on_top(self.store.layer_info(found), step.title)
        if len(chain.layers) >= MAX_LAYERS:
            raise _placed(step, f"the image has {MAX_LAYERS} layers already", "join RUN and COPY instructions")
        self.log.line(announced)
        started = time.monotonic()
        info = self._make(chain.layers, step)
        self.store.remember_step(key, info.diff_id)
        took = f"{time.monotonic() - started:.1f} s"
        self.log.line(f"  done in {took}, {amount(info.size)}, {files_and_folders(info.files)}")
        return chain.on_top(info, step.title)

    def _key(self, chain: Chain, step: Step) -> str:
        stages = [stage.layers for stage in self.stages]
        try:
            return step_key(
                step, layers=chain.layers, tenant_id=self.tenant_id, source=self.source, stages=stages
            )
        except BadInput as error:
            raise _placed(step, error.summary, error.hint) from error

    # --- files
    def _make(self, layers: Sequence[str], step: Step) -> LayerInfo:
        try:
            return self._run(layers, step) if isinstance(step, RunStep) else self._put_files(layers, step)
        except (BadInput, Refused) as error:
            raise _placed(step, error.summary, error.hint) from error

    def _put_files(self, layers: Sequence[str], step: FilesStep) -> LayerInfo:
        with self.sandbox.rootfs(layers) as rootfs:
            with Destination(rootfs.root) as destination:
                newest = max(self._operate(operation, destination) for operation in step.operations)
            return self.store.commit_changeset(
                rootfs.upper, epoch=newest, max_bytes=MAX_LAYER_BYTES, max_files=MAX_LAYER_FILES
            )

    def _operate(self, operation: Operation, destination: Destination) -> int:
        """Gives the time of the newest file: folders that were made now get it in the layer, too."""
        if isinstance(operation, Copy):
            return self._copy(operation, destination)
        if isinstance(operation, Folder):
            copying.folder(operation, destination)
        else:
            copying.write(operation, destination)
        return 0

    def _copy(self, operation: Copy, destination: Destination) -> int:
        if operation.stage is None:
            return copying.copy(operation, self.source, destination, self.check)
        with self.sandbox.rootfs(self.stages[operation.stage].layers) as other, Tree(other.root) as origin:
            return copying.copy(operation, origin, destination, self.check)

    # --- commands
    def _run(self, layers: Sequence[str], step: RunStep) -> LayerInfo:
        self.log.begin_step()
        with self.sandbox.run(
            layers,
            args=step.args,
            env=dict(step.env),
            workdir=step.workdir,
            user=step.user,
            caches=dict(step.caches),
            log=self.log.output,
        ) as result:
            self.check()
            if result.exit_code != 0:
                raise self._failed(step, result)
            return self.store.commit_changeset(
                result.upper, max_bytes=MAX_LAYER_BYTES, max_files=MAX_LAYER_FILES
            )

    def _failed(self, step: RunStep, result: StepResult) -> StepFailed:
        reason = f"`{step.title}` exited with {result.exit_code}"
        next_step = hint(result.exit_code, self.log.tail, usual=step.hint)
        if result.oom_killed:
            reason = f"`{step.title}` needed more memory than a build step may have"
            next_step = "build with fewer jobs at once, or ask an administrator for more memory"
        details = {
            "exit_code": result.exit_code,
            "oom_killed": result.oom_killed,
            "instruction": step.title,
            "file": step.file,
            "line": step.line,
            "log": self.log.tail,
        }
        return StepFailed(f"{_place(step)}{reason}", hint=next_step, details=details)


def _place(step: Step) -> str:
    if not step.file:
        return ""
    return f"{step.file}, line {step.line}: " if step.line else f"{step.file}: "


def _placed(step: Step, reason: str, hint: str) -> BadInput:
    """An error with the place in the tenant's own file."""
    details = {"instruction": step.title, "file": step.file, "line": step.line}
    return BadInput(f"{_place(step)}{step.title}: {reason}", hint=hint, details=details)


def _image_config(chain: Chain, settings: ImageSettings) -> ImageConfig:
    return ImageConfig(
        diff_ids=chain.layers,
        env=settings.env,
        entrypoint=settings.entrypoint,
        cmd=settings.cmd,
        workdir=settings.workdir,
        user=settings.user,
        exposed_ports=(f"{settings.exposed_port}/tcp",) if settings.exposed_port else (),
        stop_signal=settings.stop_signal,
        labels=settings.labels,
        history=chain.history,
        architecture=chain.architecture,
    )
