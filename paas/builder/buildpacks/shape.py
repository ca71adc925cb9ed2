"""What every buildpack is, what it is given, and the steps that they have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from paas.builder.config import BuildConfig, Pairs
from paas.builder.names import Names
from paas.builder.plan import APP_OWNER, CacheMount, Copy, FilesStep, Folder, Plan, RunStep
from paas.builder.procfile import shell
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images import Store, runtimes
from paas.images.runtimes import Runtime
from paas.oci.config import ImageConfig
from paas.specs import ImageSpec

HOME = "/app"
MAX_MANIFEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Base:
    """An image to stand on: its name in the store, and the environment that it brings."""

    name: str
    env: Mapping[str, str]


class Bases:
    """The machine's Debian and the languages on top of it. A plan only names those that it stands on; `make`,
    once the plan is known to be good, makes what is not there yet. `check` is called again and again meanwhile,
    and may raise."""

    def __init__(
        self,
        store: Store,
        suite: str,
        log: Callable[[str], None],
        names: Names | None = None,
        *,
        check: Callable[[], object],
    ) -> None:
        self._store, self.suite, self._log, self._check = store, suite, log, check
        self._names = names or Names(store)
        self._asked_for: dict[str, Callable[[], object]] = {}  # how each is made, in order
        self._said: set[str] = set()

    def debian(self, suite: str = "") -> Base:
        """The base with Python and nginx; of the machine's own suite unless another is named."""
        suite = suite or self.suite
        make = partial(runtimes.ensure_base, self._store, suite, log=self._log, look=self._check)
        return self._base(runtimes.base_name(suite), suite, make)

    def to_run(self, runtime: Runtime) -> Base:
        return self._base(runtime.image, runtime.suite, partial(self._ensure, runtime, build=False))

    def to_build(self, runtime: Runtime) -> Base:
        return self._base(runtime.build_image, runtime.suite, partial(self._ensure, runtime, build=True))

    def _base(self, name: str, suite: str, make: Callable[[], object]) -> Base:
        self._asked_for.setdefault(name, make)
        return Base(name, runtimes.env_of(self._store, name, suite))

    def make(self) -> None:
        """Those that were asked for, where they are not there."""
        for make in self._asked_for.values():
            make()

    def config_of(self, name: str) -> ImageConfig:
        """Of what `FROM` of a Dockerfile names: a language of ours, made at once since a plan cannot do without
        what its config says, or what `names` finds."""
        return self._store.config(self._named(name).digest)

    def _named(self, name: str) -> ImageSpec:
        for runtime in runtimes.RUNTIMES:
            if name in (runtime.image, runtime.build_image) and runtime.packages:
                return self._ensure(runtime, build=name == runtime.build_image)
        return self._store.image(self._names.digest(name))

    def version(self, runtime: Runtime) -> tuple[int, ...]:
        """The language's version in full, as Debian has it; the image that says so is made if need be."""
        return runtimes.version_of(self._store, runtime, self._ensure(runtime, build=False))

    def known_version(self, runtime: Runtime) -> tuple[int, ...]:
        """The same if the image is there, else the line."""
        return runtimes.known_version(self._store, runtime)

    def say(self, line: str) -> None:
        """A line of the build's log, once: a plan may ask twice."""
        if line not in self._said:
            self._said.add(line)
            self._log(line)

    def _ensure(self, runtime: Runtime, *, build: bool) -> ImageSpec:
        return runtimes.ensure(self._store, runtime, build=build, log=self._log, look=self._check)


@dataclass(frozen=True, slots=True)
class Request:
    """`env` is what the app's files say of its environment, for steps that run the app's own code; `web` the
    command that they name for the web process, () for none."""

    build: BuildConfig
    source: Tree
    bases: Bases
    env: Pairs = ()
    web: tuple[str, ...] = ()


class Buildpack(Protocol):
    """A module, as a rule."""

    NAME: str

    def left_out(self, source: Tree) -> tuple[str, ...]:
        """Patterns, as in .dockerignore, of what never gets into an image of this kind."""

    def detect(self, build: BuildConfig, source: Tree) -> str:
        """Why this source is of this kind ("there is go.mod"), "" if it is not. Looks only at files."""

    def plan(self, request: Request) -> Plan:
        """Raises BadInput for what is wrong in the source or its wishes, with file, line and what to do."""


def there_is(source: Tree, *names: str) -> str:
    """The reason for `detect`: the first of these files that is there."""
    found = next((name for name in names if source.exists(name)), None)
    if found is None:
        return ""
    source.demand_whole(found)
    return f"there is {found}"


def put(files: tuple[str, ...], file: str = "") -> FilesStep:
    """These files of the source below the app's folder, which becomes the app's own."""
    copies = tuple(Copy((path,), f"{HOME}/{path}", owner=APP_OWNER) for path in files)
    title = f"COPY {' '.join(files)} {HOME}/"
    return FilesStep(title, (Folder(HOME, APP_OWNER, adopt=True), *copies), file or files[0])


def put_source() -> FilesStep:
    return FilesStep(
        f"COPY . {HOME}/", (Folder(HOME, APP_OWNER, adopt=True), Copy((".",), f"{HOME}/", owner=APP_OWNER))
    )


def take(stage: int, path: str, dest: str, name: str = "build") -> FilesStep:
    """What an earlier stage has at `path`; folders end with a slash."""
    return FilesStep(
        f"COPY --from={name} {path} {dest}", (Copy((path.strip("/"),), dest, stage=stage, owner=APP_OWNER),)
    )


def command(
    title: str,
    line: str,
    env: Mapping[str, str],
    *,
    caches: Mapping[str, str] | None = None,
    file: str = "",
    hint: str = "",
) -> RunStep:
    """`line` in the container's shell, as the app's user in the app's folder.

    `caches`: path in the container -> name of a folder of the tenant's own that is kept between builds.
    """
    return RunStep(
        title=f"RUN {title}",
        args=shell(line),
        env=tuple(env.items()),
        workdir=HOME,
        user=APP_OWNER,
        mounts=tuple(CacheMount(path, name) for path, name in (caches or {}).items()),
        file=file,
        hint=hint,
    )


def app_env(base: Base, *paths: str, **values: str) -> dict[str, str]:
    """The environment of the app's processes: `paths` come first in PATH."""
    path = base.env.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return {**base.env, "PATH": ":".join((*paths, path)), "HOME": HOME, **values}


def read_json(source: Tree, name: str) -> dict[str, Any]:
    """A manifest in JSON, {} when it is not there."""
    text = source.text(name, MAX_MANIFEST) if source.exists(name) else None
    return json_object(text, name) if text is not None else {}


def json_object(text: str, name: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise BadInput(
            f"{name}, line {line}: {getattr(error, 'msg', 'nested too deeply')}",
            hint="it must be JSON: double quotes, no comments, no comma after the last item",
            details={"file": name, "line": line},
        ) from error
    if not isinstance(document, dict):
        raise BadInput(
            f"{name} is not a JSON object", hint="begin it with `{`", details={"file": name, "line": 1}
        )
    return document


def table(document: dict[str, Any], key: str) -> dict[str, Any]:
    """A nested object; {} for anything else, for these files are other tools' to judge."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def text_of(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
