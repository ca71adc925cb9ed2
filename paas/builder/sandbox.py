"""What the builder needs from whoever runs its steps: the worker hands in the one real implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from paas.builder.plan import CacheMount
from paas.errors import BerthError
from paas.specs import Egress, InlineFile, LayersMount, TmpfsMount

T = TypeVar("T")
Look = Callable[[], object]  # called again and again in whatever takes long; may raise
StepMount: TypeAlias = CacheMount | InlineFile | LayersMount | TmpfsMount


class BuildCancelled(BerthError):
    """The person who asked for the build took it back."""


def demand_wanted(cancelled: Callable[[], bool]) -> None:
    """To be called again and again in whatever takes long: BuildCancelled when the build is."""
    if cancelled():
        raise BuildCancelled("the build was cancelled", hint="deploy again when you are ready")


class Rootfs(Protocol):
    """A writable overlay over layers, on the host, with 0-based ids. Nothing in it is ever executed.

    `root` is the merged folder: its content is a tenant's, every path in it is resolved with openat2.
    `upper` is the overlay's upper folder, read when nothing writes to `root` any more.
    """

    @property
    def root(self) -> Path: ...

    @property
    def upper(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a step's command ended, with all its processes gone.

    `exit_code` is 128 + the signal for a command that a signal ended. `upper` holds what it
    changed, and no mount points that were made for it.
    """

    exit_code: int
    upper: Path
    oom_killed: bool = False


class Sandbox(Protocol):
    """The context managers remove what they made, whether the body succeeded or not."""

    @property
    def egress(self) -> Egress:
        """What commands and fetches may reach."""

    def turn(self, key: str, waiting: Callable[[], object]) -> AbstractContextManager[None]:
        """Held by one build at a time for each step key, so that what several build is built once. `waiting` is
        called again and again while another one has it, and may raise. Whoever dies lets go.
        """

    def confined(self, work: Callable[[Look], T], *, is_light: bool) -> T:
        """What `work` gives, which reads and writes files and does nothing else: in the tenant's fences, unless
        it `is_light` enough to be done on the spot. BuildCancelled when the build is; StepFailed when it needs
        more than it may have.
        """

    def rootfs(self, layers: Sequence[str]) -> AbstractContextManager[Rootfs]:
        """An overlay over `layers` (DiffIDs, bottom first; at least one)."""

    def run(
        self,
        layers: Sequence[str],
        *,
        args: Sequence[str],
        env: Mapping[str, str],
        workdir: str,
        user: str,
        mounts: Sequence[StepMount],
        network: bool,
        log: Callable[[bytes], None],
    ) -> AbstractContextManager[StepResult]:
        """Run `args` in a container over `layers` and wait for its end.

        `user` is "user[:group]", by name or number. A cache is a folder of the tenant's own, kept between
        builds. `log` gets stdout and stderr as they come, in pieces of any size. When the build is cancelled
        the container is killed and the result given as it is. `uv` is at /usr/local/bin/uv, read-only.
        """

    def fetch(self, url: str, *, max_bytes: int, log: Callable[[bytes], None]) -> AbstractContextManager[Path]:
        """What an http or https address gives, as a regular file: fetched in a container of the tenant's, which
        reaches what the tenant's apps reach and no more. StepFailed, with the reason, when it gives nothing.
        """
