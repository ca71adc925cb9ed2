"""A build's plan: pure data, made by a front end and carried out by `execute`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from paas.builder.modes import Mode
from paas.oci.config import Healthcheck
from paas.specs import HealthCheck, TmpfsMount

APP_OWNER = "1000:1000"
ROOT_OWNER = "0:0"


@dataclass(frozen=True, slots=True)
class Copy:
    """Files from the source (`stage` is None) or from another stage, as COPY of the Dockerfile reference.

    `sources` are patterns relative to the origin's root. `dest` is absolute; a trailing "/" or several
    sources make it a folder. `owner` is "user[:group]" by number or name, None keeps the origin's.
    `exclude` are patterns of what to leave out, as in a .dockerignore of each source. With `parents` the
    sources keep the folders that they are in, from a "/./" on where there is one. With `unpack`, tar archives
    are unpacked.
    """

    sources: tuple[str, ...]
    dest: str
    stage: int | None = None
    owner: str | None = ROOT_OWNER
    mode: Mode | None = None
    exclude: tuple[str, ...] = ()
    parents: bool = False
    unpack: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """A file from an address, fetched inside the tenant's fences. Its SHA-256 (hexadecimal) is known before.

    Goes into the folder `dest` as `name` where that ends with a "/" or is a folder, else to `dest`.
    """

    url: str
    sha256: str
    dest: str
    name: str
    owner: str = ROOT_OWNER
    mode: Mode | None = None
    unpack: bool = False


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


Operation: TypeAlias = Copy | Fetch | Write | Folder


@dataclass(frozen=True, slots=True)
class FilesStep:
    """Puts files into one layer. Runs nothing, starts no container. `title` is the whole instruction, `hint`
    for where a file is missing."""

    title: str
    operations: tuple[Operation, ...]
    file: str = ""  # where the tenant wrote it, for messages
    line: int = 0
    hint: str = ""


@dataclass(frozen=True, slots=True)
class CacheMount:
    """A folder of the tenant's own that is kept between builds, by its name.

    `owner` and `mode` are for one that is not there yet; without them everybody in the container may write.
    `sharing` is as in the Dockerfile reference: what happens while another step has it.
    """

    target: str
    name: str
    read_only: bool = False
    sharing: Literal["shared", "private", "locked"] = "shared"
    owner: tuple[int, int] | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class SecretMount:
    """The value of the app's config var `name`, as a file at `target`, in the variable `env`, or both."""

    name: str
    target: str = ""
    env: str = ""
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class StageMount:
    """Files of an earlier stage. What is written to one that is `writable` is dropped with the step."""

    target: str
    stage: int
    source: str = "/"
    writable: bool = False


@dataclass(frozen=True, slots=True)
class ScriptMount:
    """A file with this content that may be executed, for as long as the step runs."""

    target: str
    content: str


RunMount: TypeAlias = CacheMount | SecretMount | StageMount | ScriptMount | TmpfsMount


@dataclass(frozen=True, slots=True)
class RunStep:
    """Runs a command in a container; what it changed is the layer.

    `unkeyed_env` are variables that do not count in the cache key, such as an address of a proxy.
    """

    title: str
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    workdir: str = "/"
    user: str = ROOT_OWNER
    mounts: tuple[RunMount, ...] = ()
    network: bool = True
    unkeyed_env: tuple[tuple[str, str], ...] = ()
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
    exposed_ports: tuple[str, ...] = ()  # "8000/tcp"
    stop_signal: str = "SIGTERM"
    labels: tuple[tuple[str, str], ...] = ()
    volumes: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    author: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps on top of an image ("scratch" is the empty one) or, by number, of an earlier stage.

    `settings` are the instructions that make no step (ENV, CMD, …), for the image's history alone, each with
    how many steps are before it.
    """

    base: str | int
    steps: tuple[Step, ...] = ()
    name: str = ""
    settings: tuple[tuple[int, str], ...] = ()

    @property
    def instructions(self) -> tuple[str, ...]:
        """All in order, those that make a step and those that make none."""
        said = [(before, 0, text) for before, text in self.settings]
        said += [(number, 1, step.title) for number, step in enumerate(self.steps)]
        return tuple(text for *_, text in sorted(said, key=lambda found: found[:2]))


@dataclass(frozen=True, slots=True)
class Plan:
    """`stages` in the order in which they are built, holding only what the last one needs.

    `command` is what a web process runs when neither berth.toml nor the Procfile says; () is "nothing".
    One that `is_guess` counts only when they name no process at all; one that `replaces` a command also in the
    place of that. `command_note` is for the build log where it counts, `missing_command` says what to do when
    there is none. `health` is the image's own check, for where berth.toml has none. `notes` are for the build
    log. `args` and `target` are what was given to a Dockerfile.
    """

    builder: str
    stages: tuple[Stage, ...]
    image: ImageSettings
    command: tuple[str, ...] = ()
    is_guess: bool = False
    replaces: tuple[str, ...] = ()
    command_note: str = ""
    missing_command: str = ""
    health: HealthCheck | None = None
    notes: tuple[str, ...] = ()
    files_read: tuple[str, ...] = ()
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""

    @property
    def steps_total(self) -> int:
        return sum(len(stage.steps) for stage in self.stages)

    @property
    def asks_for_secrets(self) -> bool:
        runs = (step for stage in self.stages for step in stage.steps if isinstance(step, RunStep))
        return any(isinstance(mount, SecretMount) for step in runs for mount in step.mounts)
