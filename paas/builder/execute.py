"""A plan, carried out: each step from the build cache or in the sandbox, then the image."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from paas.builder.chain import Chain
from paas.builder.log import BuildLog, amount, files_and_folders, short
from paas.builder.places import placed
from paas.builder.plan import Plan, RunStep, Stage, Step
from paas.builder.sandbox import Sandbox, demand_wanted
from paas.builder.steps import Stages, Workshop
from paas.builder.tree import Tree
from paas.images import LayerInfo, Store
from paas.oci.config import History, mounted_once
from paas.specs import ImageSpec

SCRATCH = "scratch"
MAX_LAYERS = 60  # what fits into mount(2)'s one page of options
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Execution:
    """One build. `source` is open and unchanging; `cancelled` is asked between and within steps.

    `secrets` are looked up by name when a step asks for one.
    """

    def __init__(
        self,
        source: Tree,
        *,
        tenant_id: str,
        store: Store,
        sandbox: Sandbox,
        log: BuildLog,
        cancelled: Callable[[], bool],
        secrets: Mapping[str, str],
        resolve: Callable[[str], str] | None = None,
    ) -> None:
        self.source, self.tenant_id, self.store, self.log = source, tenant_id, store, log
        self.cancelled, self.resolve = cancelled, resolve or store.resolve
        self.stages: list[Chain] = []
        self.steps_done = self.steps_cached = 0
        self.workshop = Workshop(source, store, sandbox, log, self.check, secrets)

    def run(self, plan: Plan) -> ImageSpec:
        """Raises BadInput or StepFailed with file, line and what to do, BuildCancelled when it was."""
        for stage in plan.stages:
            self.stages.append(self._stage(stage, plan.steps_total))
        self.check()
        return self.store.put_image(self.stages[-1].image(plan.image))

    @property
    def base(self) -> str:
        """The digest of what the image stands on, once it is made; "" for nothing."""
        return self.stages[-1].base

    def check(self) -> None:
        demand_wanted(self.cancelled)

    def _stage(self, stage: Stage, total: int) -> Chain:
        chain = self._base(stage.base)
        for number, step in enumerate(stage.steps):
            self.check()
            self.steps_done += 1
            chain = chain.saying(text for before, text in stage.settings if before == number)
            chain = self._step(chain, step, f"Step {self.steps_done}/{total} {short(step.title)}")
        return chain.saying(text for before, text in stage.settings if before == len(stage.steps))

    def _base(self, base: str | int) -> Chain:
        if isinstance(base, int):
            return self.stages[base]
        if base == SCRATCH:
            with tempfile.TemporaryDirectory() as empty:
                info = self.store.commit_changeset(Path(empty))
            machine = platform.machine()
            return Chain((info.diff_id,), (History("FROM scratch"),), _ARCHITECTURES.get(machine, machine))
        digest = self.resolve(base)
        config = self.store.config(digest)
        return Chain(mounted_once(config.diff_ids), config.history, config.architecture, digest)

    def _step(self, chain: Chain, step: Step, announced: str) -> Chain:
        stages = [stage.layers for stage in self.stages]
        key = self.workshop.key(chain.layers, step, stages, self.tenant_id)
        found = self.store.cached_step(key)
        if found is None:
            if len(chain.layers) >= MAX_LAYERS:
                raise placed(
                    step, f"the image has {MAX_LAYERS} layers already", "join RUN and COPY instructions"
                )
            with self.workshop.sandbox.turn(key, self._patience(announced)):
                found = self.store.cached_step(key)  # whoever had to wait finds it made
                if found is None:
                    return chain.on_top(self._carry_out(chain, step, key, announced, stages), step.title)
        self.steps_cached += 1
        self.log.line(f"{announced}: cached")
        return chain.on_top(self.store.layer_info(found), step.title)

    def _patience(self, announced: str) -> Callable[[], None]:
        """What to do again and again while another build is at the same step."""
        lines = iter((f"{announced}: waiting for another build that is at it",))

        def look() -> None:
            for line in lines:  # said once
                self.log.line(line)
            self.check()

        return look

    def _carry_out(self, chain: Chain, step: Step, key: str, announced: str, stages: Stages) -> LayerInfo:
        self.log.line(announced)
        started = time.monotonic()
        if isinstance(step, RunStep):
            info = self.workshop.run(chain.layers, step, stages)
        else:
            info = self.workshop.put_files(chain.layers, step, stages)
        self.store.remember_step(key, info.diff_id)
        took = f"{time.monotonic() - started:.1f} s"
        self.log.line(f"  done in {took}, {amount(info.size)}, {files_and_folders(info.files)}")
        return info
