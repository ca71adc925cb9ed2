"""Languages as ordinary images: the shared Debian base and one layer with a language on top.

Each is made once a machine, by the first build that needs it or ahead, and known as `berth/node:20`. Those that
build need more than those that run (compilers, Composer): `berth/php:8.2-build` is one layer more, on the same.

Berth's own code makes them on the host, with apt, as mmdebstrap makes the base (`apt_layer`): a layer holds
nothing but Debian's signed packages, and runs no tenant's code, so there is nothing to fence in; a tenant's
sandbox would need a tenant, a disk quota and an egress policy that are nobody's, and apt as a mapped root.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote

from paas.errors import BadInput, HostProblem, NotFound
from paas.images.apt_layer import install
from paas.images.base import ENV, SUITES, Log, build_base
from paas.images.budget import go_on
from paas.images.pipe import LOOK_SECONDS
from paas.images.store import Store
from paas.oci.config import History
from paas.specs import ImageSpec

Look = Callable[[], object]
_VERSIONED_BY = {
    "python": "python{}",
    "node": "nodejs",
    "php": "php{}-cli",
    "ruby": "ruby{}",
    "go": "golang-{}-go",
}
_DPKG_STATUS = "var/lib/dpkg/status"
# Debian goes back with "3.1.7+really3.1.2-0+deb12u1".
_UPSTREAM = re.compile(r"(?:\d+:)?(?:[^-]*\+really)?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Runtime:
    """One line of a language: the only version of it that its Debian has.

    `version` is what apps ask for, `minor` the version in full less its patch level, which Debian chooses.
    A language without `packages` is in the base already.
    """

    language: str
    version: str
    minor: tuple[int, int]
    suite: str
    packages: tuple[str, ...] = ()
    build_packages: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        return SUITES[self.suite]

    @property
    def image(self) -> str:
        return f"berth/{self.language}:{self.version}" if self.packages else self.base

    @property
    def versioned_by(self) -> str:
        """The Debian package whose version is the language's."""
        return _VERSIONED_BY[self.language].format(self.version)

    @property
    def build_image(self) -> str:
        return f"{self.image}-build" if self.build_packages else self.image

    def __str__(self) -> str:
        return f"{self.language} {self.version}"


_PHP = ("bcmath", "curl", "gd", "intl", "mbstring", "mysql", "opcache", "pgsql", "sqlite3", "xml", "zip")
_RUBY_LIBRARIES = ("libpq5", "libsqlite3-0", "libmariadb3", "libyaml-0-2")
_RUBY_BUILD = (
    "ruby-dev", "gcc", "g++", "make", "libc6-dev", "pkg-config", "git", "libpq-dev", "libsqlite3-dev",
    "libmariadb-dev", "libyaml-dev", "libffi-dev", "zlib1g-dev",
)  # fmt: skip


def _php(version: str, minor: tuple[int, int], suite: str) -> Runtime:
    packages = tuple(f"php{version}-{part}" for part in ("cli", "fpm", *_PHP))
    return Runtime("php", version, minor, suite, packages, ("composer", "unzip", "git"))


def _ruby(version: str, minor: tuple[int, int], suite: str) -> Runtime:
    return Runtime("ruby", version, minor, suite, ("ruby", "ruby-bundler", *_RUBY_LIBRARIES), _RUBY_BUILD)


RUNTIMES = (
    Runtime("python", "3.11", (3, 11), "bookworm"),
    Runtime("python", "3.13", (3, 13), "trixie"),
    Runtime("node", "18", (18, 20), "bookworm", ("nodejs", "npm")),
    Runtime("node", "20", (20, 19), "trixie", ("nodejs", "npm")),
    _php("8.2", (8, 2), "bookworm"),
    _php("8.4", (8, 4), "trixie"),
    _ruby("3.1", (3, 1), "bookworm"),
    _ruby("3.3", (3, 3), "trixie"),
    Runtime("go", "1.19", (1, 19), "bookworm", ("golang-go",)),
    Runtime("go", "1.24", (1, 24), "trixie", ("golang-go",)),
)


def named(text: str) -> Runtime:
    """The runtime that "node:20" names."""
    for runtime in RUNTIMES:
        if text == f"{runtime.language}:{runtime.version}":
            return runtime
    known = ", ".join(f"{runtime.language}:{runtime.version}" for runtime in RUNTIMES)
    raise BadInput(f"no runtime is called {text[:60]!r}", hint=f"one of {known}")


def ensure(
    store: Store,
    runtime: Runtime,
    *,
    build: bool = False,
    rebuild: bool = False,
    log: Log,
    look: Look = go_on,
) -> ImageSpec:
    """The runtime's image (`build`: the one to build in), made now if this machine has it not yet.

    Takes up to some minutes and needs the network; who comes meanwhile waits for the one that makes it.
    `look` is called again and again, and may raise: who waits next makes it then, from the beginning.
    `rebuild` makes it again, from what Debian has now. Killed at any point, it leaves the store as it was.
    Raises HostProblem or CommandFailed with apt's reason.
    """
    name = runtime.build_image if build else runtime.image
    found = _complete(store, name)
    if found and not rebuild:
        return found
    with _one_maker(store, name, log, look):
        found = _complete(store, name)
        if found and not rebuild:
            return found
        if name == runtime.base:
            return build_base(store, suite=runtime.suite, rebuild=rebuild, log=log, look=look)
        log(
            f"{name} is made again"
            if found
            else f"{name} is not on this machine yet: it is made now, once for everybody"
        )
        if build and runtime.build_packages:
            below = ensure(store, runtime, rebuild=rebuild, log=log, look=look)
            return _make(store, name, below, runtime.build_packages, log=log, look=look)
        below = ensure_base(store, runtime.suite, log=log, look=look)
        return _make(store, name, below, runtime.packages, log=log, look=look)


def ensure_base(store: Store, suite: str, *, log: Log, look: Look = go_on) -> ImageSpec:
    """The Debian base of the suite; `look` as for `ensure`."""
    name = base_name(suite)
    found = _complete(store, name)
    if found:
        return found
    with _one_maker(store, name, log, look):
        return build_base(store, suite=suite, log=log, look=look)


def base_name(suite: str) -> str:
    if suite not in SUITES:
        raise BadInput(
            f"Berth knows no Debian {suite!r}", hint=f"set BERTH_BASE_SUITE to one of {', '.join(SUITES)}"
        )
    return SUITES[suite]


def env_of(store: Store, name: str, suite: str) -> Mapping[str, str]:
    """That of the image `name` of ours, also before it is made: a language adds nothing to its Debian's."""
    found = _complete(store, name) or _complete(store, base_name(suite))
    return dict(found.env if found else ENV)


def version_of(store: Store, runtime: Runtime, image: ImageSpec) -> tuple[int, int, int]:
    """The language's version in full, as dpkg of the runtime's image has it."""
    package = re.compile(
        rf"^Package: {re.escape(runtime.versioned_by)}\n(?:.+\n)*?Version: (.+)$", re.MULTILINE
    )
    status = next(
        (path for layer in reversed(image.layers) if (path := store.layer_path(layer) / _DPKG_STATUS).exists()),
        None,
    )
    found = package.search(status.read_text(errors="replace")) if status else None
    version = _UPSTREAM.match(found[1]) if found else None
    if not version:
        raise HostProblem(
            f"the image of {runtime} does not say which version of {runtime.versioned_by} it has",
            hint="`sudo bin/up --rebuild-images` makes it again",
        )
    return int(version[1]), int(version[2]), int(version[3])


def known_version(store: Store, runtime: Runtime) -> tuple[int, ...]:
    """The same where the image is there, else no more than the line."""
    image = _complete(store, runtime.image)
    return version_of(store, runtime, image) if image else tuple(map(int, runtime.version.split(".")))


def rebuild(store: Store, *, log: Log) -> None:
    """Make every base and runtime again that is there, with Debian's fixes since. Who builds next stands on the
    new ones; running apps keep what they have until their next build.
    """
    for suite, name in SUITES.items():
        if _complete(store, name):
            with _one_maker(store, name, log, go_on):
                build_base(store, suite=suite, rebuild=True, log=log)
    for runtime in RUNTIMES:
        if runtime.packages and _complete(store, runtime.image):
            to_build = _complete(store, runtime.build_image) is not None
            ensure(store, runtime, build=to_build, rebuild=True, log=log)


def _make(
    store: Store, name: str, below: ImageSpec, packages: tuple[str, ...], *, log: Log, look: Look
) -> ImageSpec:
    layer = install(store, below.layers, packages, log=lambda line: log(f"{name}: {line}"), look=look)
    log(f"{name}: {layer.size // 10**6} MB in {layer.files:,} files, made")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    title = f"apt-get install {' '.join(packages)}"
    config = replace(store.config(below.digest), created=now).with_layer(layer.diff_id, History(title, now))
    image = store.put_image(config)
    store.tag(name, image.digest)
    return image


def _complete(store: Store, name: str) -> ImageSpec | None:
    try:
        digest = store.resolve(name)
    except NotFound:
        return None
    return store.image(digest) if store.is_complete(digest) else None


@contextmanager
def _one_maker(store: Store, name: str, log: Log, look: Look) -> Iterator[None]:
    """Held by who makes the image; the kernel lets go of it when its holder dies (flock(2))."""
    folder = store.root / "making"
    folder.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(folder / quote(name, safe=""), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _is_mine(fd):
            log(f"{name} is being made: waiting for it")
            while not _is_mine(fd):
                look()
                time.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(fd)


def _is_mine(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
