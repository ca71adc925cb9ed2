"""`bin/bench build`: the same folder and the same Dockerfile, built by Berth, by Docker and by buildah.

Berth's time is that of a developer's upload through the API, to the row that says that the image is there: with
the queue, and in the tenant's fences. The others' is that of their command. All take turns in each round.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from bench import docker as peer
from bench.deploy import demand_same_code
from bench.figures import table
from bench.source import AppSource
from bench.tenant import Deployer, deployer
from paas.worker import engine, lock
from paas.worker.translate import tenant_spec
from tenants.releases.models import Build

BASE = "debian:12"
BERTH, DOCKER, BUILDAH = "berth", "docker build", "buildah bud"
APP = """\
FROM {base}
RUN echo {stamp} >/stamp
WORKDIR /app
COPY wheels /wheels
COPY requirements.txt ./
RUN python3 -m venv .venv && .venv/bin/pip install --no-index --find-links /wheels -r requirements.txt
COPY . .
CMD {command}
"""
TEN_STEPS = "FROM {base}\nRUN echo {stamp} >/stamp\n" + "".join(f"RUN echo {n} >>/steps\n" for n in range(9))
LARGE = "FROM {base}\nRUN echo {stamp} >/stamp\nRUN head -c 500000000 /dev/urandom >/large\n"
RUNS = '\nCMD ["python3", "-m", "http.server", "8000"]\n'
Figures = dict[str, dict[str, list[float]]]


@dataclass(slots=True)
class Source:
    """The folder that all of them build. Each change is made for one builder and not seen by it before."""

    app: AppSource
    count: int = 0
    stamp: int = 0
    more: bool = False

    def write(self, dockerfile: str) -> None:
        command = '["/app/.venv/bin/gunicorn", "--bind=0.0.0.0:8000", "app:app"]'
        text = dockerfile.format(base=BASE, stamp=self.stamp, command=command)
        (self.app.folder / "Dockerfile").write_text(text)

    def same(self) -> None:
        self.write(APP)

    def changed_file(self) -> None:
        self.count += 1
        self.app.answer(f"change {self.count}")
        self.write(APP)

    def changed_dependency(self) -> None:
        """One more line, or one less, that asks for what is installed anyway."""
        self.count += 1
        requirements = self.app.requirements
        lines = [line for line in requirements.read_text().splitlines() if not line.startswith("#")]
        requirements.write_text("\n".join([*lines, f"# change {self.count}", ""]))
        self.write(APP)

    def cold(self) -> None:
        self.stamp += 1
        self.write(APP)

    def ten_steps(self) -> None:
        self.stamp += 1
        self.write(TEN_STEPS + RUNS)

    def large(self) -> None:
        self.stamp += 1
        self.write(LARGE + RUNS)


@dataclass(slots=True)
class Berth:
    deployer: Deployer
    peak_bytes: list[int] = field(default_factory=list)

    def build(self, folder: Path) -> float:
        before = self.deployer.newest_build()
        begin = time.monotonic()
        self.deployer.upload(folder)
        while (row := self.deployer.newest_build()) is None or row.pk == (before and before.pk) or _goes(row):
            time.sleep(0.002)
        took = time.monotonic() - begin
        if row.status != Build.Status.SUCCEEDED:
            raise RuntimeError(f"berth: {row.error}")
        self.deployer.settle()
        self.peak_bytes.append(_peak("build@berth"))
        return took


def _goes(build: Build) -> bool:
    return build.status in (Build.Status.QUEUED, Build.Status.RUNNING)


def _peak(name: str) -> int:
    """The most memory, in bytes, that one of these processes ever had (VmHWM in proc(5)); 0 if none runs."""
    peaks = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if name in (folder / "cmdline").read_text():
                    lines = (folder / "status").read_text().splitlines()
                    peaks += [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
            except (OSError, UnicodeDecodeError):
                continue
    return max(peaks, default=0)


def docker_build(docker: peer.Docker) -> Callable[[Path], float]:
    def build(folder: Path) -> float:
        begin = time.monotonic()
        docker("build", "-q", "-t", "bench:built", str(folder))
        return time.monotonic() - begin

    return build


def buildah_build(storage: Path) -> Callable[[Path], float]:
    def build(folder: Path) -> float:
        begin = time.monotonic()
        buildah(storage, "bud", "--isolation=chroot", "--layers", "-q", "-t", "bench:built", str(folder))
        return time.monotonic() - begin

    return build


def buildah(storage: Path, *args: str) -> str:
    places = [f"--root={storage / 'root'}", f"--runroot={storage / 'run'}", "--storage-driver=overlay"]
    environment = {**os.environ, "STORAGE_OPTS": "", "BUILDAH_FORMAT": "docker"}
    done = subprocess.run(
        ["buildah", *places, *args], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise RuntimeError(f"buildah {args[0]}: {done.stderr.strip()[-1000:]}")
    return done.stdout.strip()


def run(*, rounds: int, with_docker: bool, trace: bool) -> None:
    """A table a scenario. Needs a Berth that is up; leaves nothing of itself on it."""
    demand_same_code()
    with ExitStack() as undo:
        if not undo.enter_context(lock.held("bench")):
            raise SystemExit("bin/bench: another run measures this Berth; wait for it to end")
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="berth-bench-")))
        source = Source(AppSource.copied_to(folder / "guestbook"))
        source.app.fetch_wheels(source.app.folder / "wheels", _python())
        (source.app.folder / "berth.toml").unlink()
        (source.app.folder / "Procfile").unlink()
        berth = Berth(undo.enter_context(deployer()))
        builders: dict[str, Callable[[Path], float]] = {BERTH: berth.build}
        if with_docker:
            builders |= undo.enter_context(_peers(berth.deployer))
        figures = _measure(builders, source, rounds)
    for scenario, rows in figures.items():
        print(table(scenario, rows, base=DOCKER if with_docker else None))
    print(f"most memory of a build worker: {max(berth.peak_bytes) / 2**20:.0f} MiB")


def _measure(builders: Mapping[str, Callable[[Path], float]], source: Source, rounds: int) -> Figures:
    scenarios: dict[str, tuple[Callable[[], None], int]] = {
        "nothing changed": (source.same, rounds),
        "one file changed": (source.changed_file, rounds),
        "one dependency changed": (source.changed_dependency, max(1, rounds // 3)),
        "cold, packages at hand": (source.cold, max(1, rounds // 3)),
        "ten steps, cold": (source.ten_steps, max(1, rounds // 3)),
        "a layer of 500 MB, cold": (source.large, max(1, rounds // 5)),
    }
    figures: Figures = {}
    for scenario, (change, times) in scenarios.items():
        figures[scenario] = {name: [] for name in builders}
        for build in builders.values():  # the round that warms up
            change()
            build(source.app.folder)
        for _ in range(times):
            for name, build in builders.items():
                change()
                figures[scenario][name].append(build(source.app.folder))
    return figures


def _python() -> str:
    names = engine.store().tags()
    return next(name.removeprefix("python:") for name in names if name.startswith("python:3."))


@contextmanager
def _peers(berth: Deployer) -> Iterator[dict[str, Callable[[Path], float]]]:
    """Docker, and buildah where it is installed, with the files of Berth's base image under its name."""
    store, runtime, tenant = engine.store(), engine.runtime(), tenant_spec(berth.app.tenant)
    base = store.image(store.resolve(engine.base_image()))
    runtime.prepare_tenant(tenant)
    with ExitStack() as undo:
        docker = undo.enter_context(peer.running(settings.PATHS.work / "bench-docker"))
        found = {DOCKER: docker_build(docker)}
        with runtime.plain_rootfs(tenant, base.layers) as rootfs:
            docker.import_image(rootfs.root, BASE)
            if shutil.which("buildah"):
                storage = settings.PATHS.work / "bench-buildah"
                undo.callback(shutil.rmtree, storage, ignore_errors=True)
                _import(storage, rootfs.root)
                found[BUILDAH] = buildah_build(storage)
        yield found


def _import(storage: Path, root: Path) -> None:
    storage.mkdir(parents=True)
    container = buildah(storage, "from", "scratch")
    buildah(storage, "add", "-q", container, str(root), "/")
    buildah(storage, "commit", "-q", container, f"docker.io/library/{BASE}")
    buildah(storage, "rm", container)
