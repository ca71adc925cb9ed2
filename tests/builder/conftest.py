"""A sandbox for steps that only put files: real overlays, in a mount namespace that ends with its thread.

Steps that run commands need the runtime and are tested with the whole platform.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from paas.builder import Look, Rootfs, StepResult, build, dockerfile, ignore
from paas.builder.buildpacks import Bases
from paas.builder.execute import Execution
from paas.builder.log import BuildLog
from paas.builder.plan import Plan
from paas.builder.tree import Tree
from paas.images import Store
from paas.linux import mounts, syscalls
from paas.oci.config import History, ImageConfig
from paas.specs import BuildReport, Egress, ImageSpec, ProcessSpec
from tests.builder.planning import PlanOf, planned, source, store_with_names

T = TypeVar("T")
TENANT = "0123456789ab"


@dataclass(frozen=True)
class PlainRootfs:
    root: Path
    upper: Path


class OverlaySandbox:
    """The builder's Sandbox without commands. `calls` counts the overlays that were asked for."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.calls = 0
        self.look: Look = lambda: None
        self.egress: Egress = "open"

    def turn(self, key: str, waiting: Callable[[], object]) -> AbstractContextManager[None]:
        return nullcontext()  # one build at a time here

    def confined(self, work: Callable[[Look], T], *, is_light: bool) -> T:
        return work(self.look)

    @contextmanager
    def rootfs(self, layers: Sequence[str]) -> Iterator[Rootfs]:
        self.calls += 1
        home = self.folder / str(self.calls)
        for name in ("upper", "work", "root"):
            (home / name).mkdir(parents=True)
        (home / "upper").chmod(0o755)
        lowers = [self.store.layer_path(layer) for layer in reversed(layers)]
        below = lowers[0].parent  # mount(2) takes one page of options: names are relative, as in the runtime
        upper, work = (os.path.relpath(home / name, below) for name in ("upper", "work"))
        mounts.overlay([path.name for path in lowers], upper, work, home / "root", folder=below)
        try:
            yield PlainRootfs(home / "root", home / "upper")
        finally:
            mounts.unmount(home / "root")

    def run(self, layers: Sequence[str], **step: object) -> AbstractContextManager[StepResult]:
        raise AssertionError(f"this test was to run nothing, not {step['args']}")

    def fetch(self, url: str, **limits: object) -> AbstractContextManager[Path]:
        raise AssertionError(f"this test was to fetch nothing, not {url}")


@dataclass
class Bench:
    """Builds sources of this test and looks into what they made."""

    folder: Path
    store: Store
    sandbox: OverlaySandbox
    in_namespace: Callable[..., object]
    log: list[bytes] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def source(self, files: dict[str, str | bytes]) -> Path:
        """A new source folder; a name that ends in "@" is a link to its content."""
        root = self.folder / f"source{next(self.numbers)}"
        root.mkdir()
        for name, content in files.items():
            path = root / name.removesuffix("@")
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("@"):
                path.symlink_to(os.fsdecode(content))
            else:
                path.write_bytes(os.fsencode(content))
        return root

    def build(
        self,
        source: Path | dict[str, str | bytes],
        *,
        tenant_id: str = TENANT,
        stage: str = "production",
        cancelled: Callable[[], bool] = lambda: False,
    ) -> BuildReport:
        self.log.clear()
        root = source if isinstance(source, Path) else self.source(source)
        report = self.in_namespace(
            build,
            root,
            tenant_id=tenant_id,
            stage=stage,
            store=self.store,
            sandbox=self.sandbox,
            log=self.log.append,
            cancelled=cancelled,
        )
        assert isinstance(report, BuildReport)
        return report

    def dockerfile(self, source: Path, *, target: str = "", args: Mapping[str, str] | None = None) -> ImageSpec:
        """Its Dockerfile alone, which need not say what to run."""

        def make() -> ImageSpec:
            with Tree(source) as tree:
                tree.ignore = ignore.parse(tree.text(ignore.NAME) or "")
                parsed = dockerfile.parse(tree.text("Dockerfile") or "")
                plan = dockerfile.lower(parsed, self._config, target=target, build_args=args)
                return Execution(
                    tree,
                    tenant_id=TENANT,
                    store=self.store,
                    sandbox=self.sandbox,
                    log=BuildLog(self.log.append),
                    cancelled=lambda: False,
                    secrets={},
                ).run(plan)

        image = self.in_namespace(make)
        assert isinstance(image, ImageSpec)
        return image

    def _config(self, name: str) -> ImageConfig:
        return self.store.config(self.store.resolve(name))

    def merged(self, image: ImageSpec, look: Callable[[Path], T]) -> T:
        """What `look` makes of the image's root file system."""

        def in_root() -> T:
            with self.sandbox.rootfs(image.layers) as rootfs:
                return look(rootfs.root)

        return self.in_namespace(in_root)  # type: ignore[return-value]

    @property
    def text(self) -> str:
        return b"".join(self.log).decode()

    def look(self, image: ImageSpec, path: str) -> Path:
        """The topmost layer's own copy of `path`."""
        for layer in reversed(image.layers):
            found = self.store.layer_path(layer) / path
            if found.is_symlink() or found.exists():
                return found
        raise AssertionError(f"no layer has {path}")

    def read(self, image: ImageSpec, path: str) -> str:
        return self.look(image, path).read_text()

    def base(self, name: str, files: dict[str, str | bytes], **settings: object) -> ImageSpec:
        """An image of one layer, known by `name`."""
        info = self.store.commit_changeset(self.source(files))
        config = ImageConfig(diff_ids=(info.diff_id,), history=(History(f"base {name}"),), **settings)  # type: ignore[arg-type]
        image = self.store.put_image(config)
        self.store.tag(name, image.digest)
        return image


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_with_names(tmp_path)


@pytest.fixture
def bases(store: Store) -> Bases:
    return Bases(store, "bookworm", lambda line: None, check=lambda: None)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """With base images debian:12 and python:3.11, which are alike and hold no programs."""
    store = Store(tmp_path / "store")
    with ThreadPoolExecutor(1, initializer=_private_mounts) as executor:

        def in_namespace(call: Callable[..., T], *args: object, **named: object) -> T:
            return executor.submit(call, *args, **named).result()

        made = Bench(tmp_path, store, OverlaySandbox(store, tmp_path / "rootfs"), in_namespace)
        files: dict[str, str | bytes] = {
            "etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/app:/bin/sh\n",
            "etc/group": "root:x:0:\nstaff:x:50:\n",
            "bin/sh": "",
            "app/.keep": "",
        }
        image = made.base("debian:12", files, env=(("PATH", "/usr/bin:/bin"),))
        store.tag("python:3.11", image.digest)
        yield made


def _private_mounts() -> None:
    """Mounts of this thread are its own: nothing is left when it ends."""
    syscalls.unshare(syscalls.CLONE_FS | syscalls.CLONE_NEWNS)
    mounts.make_private(Path("/"), recursive=True)


@pytest.fixture
def plan_of(store: Store, tmp_path: Path) -> PlanOf:
    def plan(files: dict[str, str]) -> tuple[Plan, tuple[ProcessSpec, ...]]:
        return planned(source(tmp_path, files), store)

    return plan
