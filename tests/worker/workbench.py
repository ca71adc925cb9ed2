"""Builds as the worker makes them, on the real kernel, on a base of nothing but busybox."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.conf import settings

from paas import builder
from paas.oci.config import History, ImageConfig
from paas.specs import BuildReport, ImageSpec
from paas.worker import engine
from paas.worker.config_vars import ConfigVars
from paas.worker.sandbox import BuildSandbox
from tenants.apps.models import App
from tenants.releases.models import Build
from tests.runtime.conftest import BASE
from tests.web.cast import make_build
from tests.worker.host import Host

Files = Mapping[str, str | bytes]
ENV = (("PATH", "/bin"), ("LANG", "C.UTF-8"))


def source_of(build: Build) -> Path:
    """Where it is while it is built."""
    return Path(settings.PATHS.disks, build.app.tenant_id, "builds", build.pk)


@dataclass
class Workbench:
    host: Host
    folder: Path
    log: list[bytes] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)

    def source(self, files: Files) -> Path:
        """A new source folder; a name that ends in "@" is a link to its content."""
        root = Path(tempfile.mkdtemp(dir=self.folder))
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
        dockerfile: str,
        files: Files | Path | None = None,
        *,
        app: App | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> BuildReport:
        self.log.clear()
        source = files if isinstance(files, Path) else self.source(files or {})
        (source / "Dockerfile").write_text(f'{dockerfile}\nCMD ["x"]\n')
        app = app or self.host.cast.app
        app.refresh_from_db()
        build = make_build(app, self.host.cast.owner if app == self.host.cast.app else self.host.cast.stranger)
        self.builds.append(build)
        Build.objects.filter(pk=build.pk).update(status=Build.Status.RUNNING)  # here, and not by the worker
        return builder.build(
            source,
            tenant_id=app.tenant_id,
            stage=app.stage,
            store=engine.store(),
            sandbox=BuildSandbox(build, cancelled=cancelled),
            log=self.log.append,
            cancelled=cancelled,
            suite=settings.BASE_SUITE,
            secrets=ConfigVars(app),
        )

    def layer(self, report: BuildReport, index: int = -1) -> Path:
        return engine.store().layer_path(report.image.layers[index])

    def look(self, report: BuildReport, path: str) -> Path:
        """The topmost layer's own copy of `path`."""
        for layer in reversed(report.image.layers):
            found = engine.store().layer_path(layer) / path
            if found.is_symlink() or found.exists():
                return found
        raise AssertionError(f"no layer has {path}")

    def read(self, report: BuildReport, path: str) -> str:
        return self.look(report, path).read_text()

    @property
    def text(self) -> str:
        return b"".join(self.log).decode()

    def tag(self, name: str, layer: Path, *, shell: tuple[str, ...] = ()) -> ImageSpec:
        """A folder as an image of one layer."""
        info = engine.store().commit_changeset(layer)
        config = ImageConfig(diff_ids=(info.diff_id,), env=ENV, history=(History(f"base {name}"),), shell=shell)
        image = engine.store().put_image(config)
        engine.store().tag(name, image.digest)
        return image


@pytest.fixture
def bench(host: Host) -> Iterator[Workbench]:
    folder = Path(tempfile.mkdtemp(prefix="berth-bench-"))
    bench = Workbench(host, folder)
    bench.tag(engine.base_image(), settings.PATHS.store / "layers" / BASE.removeprefix("sha256:"))
    yield bench
    shutil.rmtree(folder)
    assert host.is_clean()
