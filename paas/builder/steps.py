"""One step, carried out: files put into an overlay, or a command run in a container."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from paas.builder import copying
from paas.builder.copying import MAX_LAYER_BYTES, MAX_LAYER_FILES
from paas.builder.destination import Destination
from paas.builder.hints import hint
from paas.builder.log import BuildLog
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
)
from paas.builder.sandbox import Sandbox, StepMount, StepResult
from paas.builder.tree import Tree
from paas.errors import BadInput, StepFailed
from paas.images import LayerInfo, Store
from paas.specs import InlineFile, LayersMount

Stages = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What steps are carried out with. `stages` are the layers of the plan's stages that are built already."""

    source: Tree
    store: Store
    sandbox: Sandbox
    log: BuildLog
    check: Callable[[], None]
    secrets: Mapping[str, str]

    # --- files
    def put_files(self, layers: Sequence[str], step: FilesStep, stages: Stages) -> LayerInfo:
        with errors_placed(step), self.sandbox.rootfs(layers) as rootfs:
            with Destination(rootfs.root) as destination:
                newest = max(self._operate(operation, destination, stages) for operation in step.operations)
            return self.store.commit_changeset(
                rootfs.upper,
                epoch=newest,
                max_bytes=MAX_LAYER_BYTES,
                max_files=MAX_LAYER_FILES,
                look=self.check,
            )

    def _operate(self, operation: Operation, destination: Destination, stages: Stages) -> int:
        """Gives the time of the newest file: folders that were made now get it in the layer, too."""
        if isinstance(operation, Copy):
            return self._copy(operation, destination, stages)
        if isinstance(operation, Fetch):
            return self._fetch(operation, destination)
        if isinstance(operation, Folder):
            copying.folder(operation, destination)
        else:
            copying.write(operation, destination)
        return 0

    def _copy(self, operation: Copy, destination: Destination, stages: Stages) -> int:
        if operation.stage is None:
            return copying.copy(operation, self.source, destination, self.check)
        with self.sandbox.rootfs(stages[operation.stage]) as other, Tree(other.root) as origin:
            return copying.copy(operation, origin, destination, self.check)

    def _fetch(self, operation: Fetch, destination: Destination) -> int:
        with self.sandbox.fetch(operation.url, max_bytes=MAX_LAYER_BYTES, log=self.log.output) as path:
            found = _sha256(path)
            if found != operation.sha256:
                raise BadInput(
                    f"{operation.url[:80]} has the checksum sha256:{found}, not sha256:{operation.sha256}",
                    hint="it changed: look at what it is now before you take over its new checksum",
                )
            return copying.fetched(operation, path, destination, self.check)

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
                return self.store.commit_changeset(
                    result.upper, max_bytes=MAX_LAYER_BYTES, max_files=MAX_LAYER_FILES, look=self.check
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
        reason = f"`{step.title}` exited with {result.exit_code}"
        next_step = hint(result.exit_code, self.log.tail, usual=step.hint)
        if result.oom_killed:
            reason = f"`{step.title}` needed more memory than a build step may have"
            next_step = "build with fewer jobs at once, or ask an administrator for more memory"
        details = {
            "exit_code": result.exit_code,
            "oom_killed": result.oom_killed,
            **facts(step),
            "log": self.log.tail,
        }
        return StepFailed(f"{place(step)}{reason}", hint=next_step, details=details)


def _resolved(mount: RunMount, stages: Stages) -> StepMount:
    if isinstance(mount, StageMount):
        return LayersMount(mount.target, tuple(stages[mount.stage]), mount.source, mount.writable)
    if isinstance(mount, ScriptMount):
        return InlineFile(mount.target, mount.content.encode(), 0o555)
    assert not isinstance(mount, SecretMount), "secrets are looked up first"
    return mount


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
