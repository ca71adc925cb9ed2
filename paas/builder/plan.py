"""A build's plan: pure data, made by a front end and carried out by `execute`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

APP_OWNER = "1000:1000"
ROOT_OWNER = "0:0"


@dataclass(frozen=True, slots=True)
class Copy:
    """Files from the source (`stage` is None) or from another stage, as COPY of the Dockerfile reference.

    `sources` are patterns relative to the origin's root. `dest` is absolute; a trailing "/" or several
    sources make it a folder. `owner` is "user[:group]" by number or name, None keeps the origin's.
    """

    sources: tuple[str, ...]
    dest: str
    stage: int | None = None
    owner: str | None = ROOT_OWNER
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One file with this content."""

    path: str
    content: str
    owner: str = ROOT_OWNER
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder and its missing parents. `adopt` gives one that is there already to `owner` as well."""

    path: str
    owner: str = ROOT_OWNER
    mode: int = 0o755
    adopt: bool = False


Operation: TypeAlias = Copy | Write | Folder


@dataclass(frozen=True, slots=True)
class FilesStep:
    """Puts files into one layer. Runs nothing, starts no container."""

    title: str
    operations: tuple[Operation, ...]
    file: str = ""  # where the tenant wrote it, for messages
    line: int = 0


@dataclass(frozen=True, slots=True)
class RunStep:
    """Runs a command in a container; what it changed is the layer. `caches` are (path, cache name)."""

    title: str
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    workdir: str = "/"
    user: str = ROOT_OWNER
    caches: tuple[tuple[str, str], ...] = ()
    file: str = ""
    line: int = 0
    hint: str = ""


Step: TypeAlias = FilesStep | RunStep


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What an image's config says beside its layers."""

    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = "/"
    user: str = ""
    exposed_port: int | None = None
    stop_signal: str = "SIGTERM"
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps on top of an image ("scratch" is the empty one) or, by number, of an earlier stage."""

    base: str | int
    steps: tuple[Step, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """`stages` in the order in which they are built, holding only what the last one needs.

    `command` is what a web process runs when neither berth.toml nor the Procfile says; () is "nothing".
    One that `is_guess` counts only when they name no process at all. `missing_command` says what to do when
    there is none. `notes` are for the build log.
    """

    builder: str
    stages: tuple[Stage, ...]
    image: ImageSettings
    command: tuple[str, ...] = ()
    is_guess: bool = False
    missing_command: str = ""
    notes: tuple[str, ...] = ()
    files_read: tuple[str, ...] = ()

    @property
    def steps_total(self) -> int:
        return sum(len(stage.steps) for stage in self.stages)
