"""One step, carried out: files put into an overlay, or a command run in a container."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from paas.builder import copying
from paas.builder.copying import MAX_LAYER_BYTES, MAX_LAYER_FILES
from paas.builder.destination import Destination
from paas.builder.hints import hint
from paas.builder.keys import step_key
from paas.builder.log import BuildLog, short
from paas.builder.places import errors_placed, facts, place
from paas.builder.plan import (
    Copy,
    Fetch,
    FilesStep,
    Folder,
    Operation,
    RunMount,
    RunStep,
    ScriptMount,
    SecretMount,
    StageMount,
    Step,
    Write,
)
from paas.builder.sandbox import Look, Sandbox, StepMount, StepResult
from paas.builder.tree import Tree
from paas.errors import BadInput, StepFailed
from paas.images import LayerInfo, Store
from paas.linux.trees import is_small
from paas.specs import InlineFile, LayersMount

Stages = Sequence[Sequence[str]]
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Workshop:
    """What steps are carried out with. `stages` are the layers of the plan's stages that are built already."""

    source: Tree
    store: Store
    sandbox: Sandbox
    log: BuildLog
    check: Callable[[], object]
    secrets: Mapping[str, str]

    # --- files
    def key(self, layers: Sequence[str], step: Step, stages: Stages, tenant_id: str) -> str:
        """Of the build cache."""

        def digest(look: Look) -> str:
            return step_key(
                step, layers=layers, tenant_id=tenant_id, source=self.source, stages=stages, look=look
            )

        with errors_placed(step):
            return self.sandbox.confined(digest, is_light=isinstance(step, RunStep) or self.source.is_small)

    def put_files(self, layers: Sequence[str], step: FilesStep, stages: Stages) -> LayerInfo:
        with errors_placed(step), ExitStack() as stack:
            origins = [self._origin(operation, stages, stack) for operation in step.operations]
            rootfs = stack.enter_context(self.sandbox.rootfs(layers))

            def put(look: Look) -> LayerInfo:
                # The time of the newest file: folders that were made now get it in the layer, too.
                newest = 0
                with Destination(rootfs.root) as destination:
                    for operation, origin in zip(step.operations, origins, strict=True):
                        newest = max(newest, _operate(operation, origin, destination, look))
                return self._committed(rootfs.upper, look, epoch=newest)

            return self.sandbox.confined(put, is_light=self._is_light(step))

    def _origin(self, operation: Operation, stages: Stages, stack: ExitStack) -> Tree | Path | None:
        """Where its files come from, there until the stack ends."""
        if isinstance(operation, Fetch):
            fetched = self.sandbox.fetch(operation.url, max_bytes=MAX_LAYER_BYTES, log=self.log.output)
            return stack.enter_context(fetched)
        if not isinstance(operation, Copy):
            return None
        if operation.stage is None:
            return self.source
        other = stack.enter_context(self.sandbox.rootfs(stages[operation.stage]))
        return stack.enter_context(Tree(other.root))

    def _is_light(self, step: FilesStep) -> bool:
        """It puts a few files of the source as they are."""
        return self.source.is_small and not any(
            isinstance(operation, Fetch)
            or (isinstance(operation, Copy) and (operation.stage is not None or operation.unpack))
            for operation in step.operations
        )

    def _committed(self, upper: Path, look: Look, *, epoch: int | None = None) -> LayerInfo:
        return self.store.commit_changeset(
            upper, epoch=epoch, max_bytes=MAX_LAYER_BYTES, max_files=MAX_LAYER_FILES, look=look
        )

    # --- commands
    def run(self, layers: Sequence[str], step: RunStep, stages: Stages) -> LayerInfo:
        self.log.begin_step()
        with ExitStack() as stack:
            with errors_placed(step):
                mounts, secret_env = self._mounts(step, stages)
                result = stack.enter_context(
                    self.sandbox.run(
                        layers,
                        args=step.args,
                        env={**dict(step.unkeyed_env), **dict(step.env), **secret_env},
                        workdir=step.workdir,
                        user=step.user,
                        mounts=mounts,
                        network=step.network,
                        log=self.log.output,
                    )
                )
            self.log.end_step()
            self.check()
            if result.exit_code != 0:
                raise self._failed(step, result)
            with errors_placed(step):
                return self.sandbox.confined(
                    partial(self._committed, result.upper), is_light=is_small(result.upper)
                )

    def _mounts(self, step: RunStep, stages: Stages) -> tuple[list[StepMount], dict[str, str]]:
        """The step's mounts for the sandbox, and the secrets that go into its environment."""
        mounts: list[StepMount] = []
        env: dict[str, str] = {}
        for mount in step.mounts:
            if not isinstance(mount, SecretMount):
                mounts.append(_resolved(mount, stages))
                continue
            value = self._secret(mount)
            if value is None:
                continue
            if mount.env:
                env[mount.env] = value
            if mount.target:
                mounts.append(InlineFile(mount.target, value.encode(), mount.mode, mount.uid, mount.gid))
        return mounts, env

    def _secret(self, mount: SecretMount) -> str | None:
        value = self.secrets.get(mount.name)
        if value is not None:
            self.log.mask(value)
            return value
        if mount.required:
            raise BadInput(
                f"it needs the secret {mount.name}, and the app has no config var of that name",
                hint=f"set it: berth config set {mount.name}=…",
            )
        self.log.line(f"  the app has no config var {mount.name}: the secret is left out")
        return None

    def _failed(self, step: RunStep, result: StepResult) -> StepFailed:
        title = short(step.title)
        reason = f"`{title}` exited with {result.exit_code}"
        next_step = hint(result.exit_code, self.log.recent, step.hint, self.sandbox.egress)
        if result.oom_killed:
            reason = f"`{title}` needed more memory than a build step may have"
            next_step = "build with fewer jobs at once, or ask an administrator for more memory"
        details = {
            "exit_code": result.exit_code,
            "oom_killed": result.oom_killed,
            **facts(step),
            "log": self.log.tail,
        }
        return StepFailed(f"{place(step)}{reason}", hint=next_step, details=details)


def _operate(operation: Operation, origin: Tree | Path | None, destination: Destination, look: Look) -> int:
    """Gives the time of the newest file, in seconds; 0 for what has none that counts."""
    match operation, origin:
        case Copy(), Tree():
            return copying.copy(operation, origin, destination, look)
        case Fetch(), Path():
            _demand_checksum(operation, origin, look)
            return copying.fetched(operation, origin, destination, look)
        case Folder(), _:
            copying.folder(operation, destination)
        case Write(), _:
            copying.write(operation, destination)
    return 0


def _demand_checksum(operation: Fetch, path: Path, look: Look) -> None:
    found = _sha256(path, look)
    if found != operation.sha256:
        raise BadInput(
            f"{operation.url[:80]} has the checksum sha256:{found}, not sha256:{operation.sha256}",
            hint="it changed: look at what it is now before you take over its new checksum",
        )


def _resolved(mount: RunMount, stages: Stages) -> StepMount:
    if isinstance(mount, StageMount):
        return LayersMount(mount.target, tuple(stages[mount.stage]), mount.source, mount.writable)
    if isinstance(mount, ScriptMount):
        return InlineFile(mount.target, mount.content.encode(), 0o555)
    assert not isinstance(mount, SecretMount), "secrets are looked up first"
    return mount


def _sha256(path: Path, look: Look) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            look()
            digest.update(data)
    return digest.hexdigest()
