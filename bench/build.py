"""`bin/bench build`: the same folder and the same Dockerfile, built by Berth, by Docker and by buildah.

Berth's time is that of a developer's upload through the API, to the row that says that the image is there: with
the queue, and in the tenant's fences. Its worker's part of that stands below it. The others' is that of their
command. All take turns in each round.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from django.conf import settings

from bench import docker as peer
from bench import memory, sharing
from bench.deploy import demand_same_code
from bench.figures import table
from bench.memory import Workers
from bench.rootfs import files_of
from bench.source import AppSource
from bench.tenant import Deployer, deployer
from paas.oci.config import History
from paas.specs import ImageSpec
from paas.worker import engine, lock
from paas.worker.translate import tenant_spec
from tenants.releases.models import Build

BASE = "bench:1"
BERTH, WORKER, OWN = "berth, upload to image", "  of which its worker", "berth, without Dockerfile"
DOCKER, BUILDKIT, BUILDAH = "docker build", "docker build, BuildKit", "buildah bud"
APP = """\
FROM {base}
RUN echo {stamp} >/stamp
WORKDIR /app
COPY requirements.txt ./
RUN python3 -m venv .venv && .venv/bin/pip install --no-index --find-links /wheels -r requirements.txt
COPY . .
CMD {command}
"""
TEN_STEPS = "FROM {base}\nRUN echo {stamp} >/stamp\n" + "".join(f"RUN echo {n} >>/steps\n" for n in range(9))
LARGE = "FROM {base}\nRUN echo {stamp} >/stamp\nRUN head -c 500000000 /dev/urandom >/large\n"
RUNS = '\nCMD ["python3", "-m", "http.server", "8000"]\n'
_STRIDE = 7  # through all orders of two to five: it divides none of 2, 6, 24, 120
Seconds = dict[str, float]
Builder = Callable[[Path], Seconds]
Figures = dict[str, dict[str, list[float]]]


@dataclass(slots=True)
class Source:
    """The folder that all of them build. Each change is made for one builder and not seen by it before."""

    app: AppSource
    count: int = 0
    stamp: int = 0
    is_app: bool = True  # or steps that have nothing to do with it

    def write(self, dockerfile: str) -> None:
        self.is_app = dockerfile is APP
        command = '["/app/.venv/bin/gunicorn", "--bind=0.0.0.0:8000", "app:app"]'
        text = dockerfile.format(base=BASE, stamp=self.stamp, command=command)
        path = self.app.folder / "Dockerfile"
        if not path.exists() or path.read_text() != text:  # what does not change keeps its time, too
            path.write_text(text)

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
    trace: bool = False
    workers: Workers = field(default_factory=Workers)

    def build(self, folder: Path) -> Seconds:
        self.workers.begin()
        begin, wall = time.monotonic(), time.time()
        told = self.deployer.upload(folder)
        row = self.image_of(told)
        took = time.monotonic() - begin
        self.workers.end()
        self.deployer.settle()
        if told["serving"]:
            return {BERTH: took, WORKER: 0.0}
        assert row.started_at and row.finished_at
        parts = {
            "  pack and upload": row.created_at.timestamp() - wall,
            "  wait for a worker": (row.started_at - row.created_at).total_seconds(),
        }
        inside = (row.finished_at - row.started_at).total_seconds()
        return {BERTH: took, **(parts if self.trace else {}), WORKER: inside}

    def image_of(self, told: dict[str, Any]) -> Build:
        """Wait for the image of what was uploaded, not for the release."""
        if told["serving"]:
            return Build(pk=told["id"], status=Build.Status.SUCCEEDED)
        while _goes(row := Build.objects.get(pk=told["id"])):
            time.sleep(0.002)
        if row.status != Build.Status.SUCCEEDED:
            raise RuntimeError(f"berth: {row.error}")
        return row


@dataclass(frozen=True, slots=True)
class WithoutDockerfile:
    """The same app as Berth's Python builder builds it: by uv, with the tenant's own cache of packages."""

    berth: Berth
    source: Source
    command: str
    folder: Path

    def build(self, folder: Path) -> Seconds:
        if not self.source.is_app:
            return {}
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(folder, self.folder, ignore=shutil.ignore_patterns("Dockerfile"))
        (self.folder / "Procfile").write_text(f"web: {self.command}\n")
        with (self.folder / "requirements.txt").open("a") as file:
            file.write(f"# {self.source.stamp}\n")  # what makes a build cold
        for name in ("Procfile", "requirements.txt"):
            os.utime(self.folder / name, (0, 0))  # as in a folder that is not made anew each time
        return {OWN: self.berth.build(self.folder)[BERTH]}


def _goes(build: Build) -> bool:
    return build.status in (Build.Status.QUEUED, Build.Status.RUNNING)


def docker_builds(docker: peer.Docker) -> list[Builder]:
    """The legacy builder's, and BuildKit's where it is installed."""
    found = [_docker_build(DOCKER, docker)]
    try:
        found.append(_docker_build(BUILDKIT, docker.with_buildkit()))
    except RuntimeError as error:
        print(f"Without BuildKit, which is not installed: {error}")
    return found


def _docker_build(name: str, docker: peer.Docker) -> Builder:
    return _timed(name, lambda folder: docker("build", "-q", "-t", "bench:built", str(folder)))


def buildah_build(storage: Path) -> Builder:
    options = ("--isolation=chroot", "--layers", "-q", "-t", "bench:built")
    return _timed(BUILDAH, lambda folder: buildah(storage, "bud", *options, str(folder)))


def _timed(name: str, make: Callable[[Path], object]) -> Builder:
    def build(folder: Path) -> Seconds:
        begin = time.monotonic()
        make(folder)
        return {name: time.monotonic() - begin}

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
    """A table a scenario. Needs a Berth that is up; what is left of it are layers that the next prune takes."""
    demand_same_code()
    with ExitStack() as undo:
        if not undo.enter_context(lock.held("bench")):
            raise SystemExit("bin/bench: another run measures this Berth; wait for it to end")
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="berth-bench-")))
        source = Source(AppSource.copied_to(folder / "guestbook"))
        command = source.app.command
        for name in ("berth.toml", "Procfile"):
            (source.app.folder / name).unlink()
        base = undo.enter_context(_base(source.app, folder / "wheels"))
        berth = Berth(undo.enter_context(deployer()), trace)
        beside = replace(berth, deployer=berth.deployer.with_app("without"))  # each has its own app to serve
        own = WithoutDockerfile(beside, source, command, folder / "without" / "guestbook")
        builders: list[Builder] = [berth.build, own.build]
        sizes = {"berth": _fifty_of_berth(berth, source)}
        if with_docker:
            docker = undo.enter_context(peer.running(settings.PATHS.work / "bench-docker"))
            others = undo.enter_context(_peers(docker, berth.deployer, base))
            sizes["docker"] = _fifty_of_docker(docker, source)
            builders += others
        figures = _measure(builders, source, rounds)
    for scenario, rows in figures.items():
        print(table(scenario, rows, base=DOCKER if with_docker else None))
    print(sharing.table(sizes))
    print(memory.table(berth.workers))


def _measure(builders: Sequence[Builder], source: Source, rounds: int) -> Figures:
    scenarios: dict[str, tuple[Callable[[], None], int]] = {
        "nothing changed": (source.same, 4 * rounds),  # a tenth of a second each
        "one file changed": (source.changed_file, rounds),
        "one dependency changed": (source.changed_dependency, max(1, rounds // 3)),
        "cold, packages at hand": (source.cold, max(1, rounds // 3)),
        "ten steps, cold": (source.ten_steps, max(1, rounds // 3)),
        "a layer of 500 MB, cold": (source.large, max(1, rounds // 5)),
    }
    figures: Figures = {}
    for scenario, (change, times) in scenarios.items():
        rows = figures[scenario] = {}
        for number in range(times + 1):
            for build in _turned(builders, number):
                change()
                for name, seconds in build(source.app.folder).items():
                    rows.setdefault(name, [])
                    if number:  # the first round warms up
                        rows[name].append(seconds)
    return figures


def _turned(builders: Sequence[Builder], number: int) -> Sequence[Builder]:
    """In another order each round, until all had a turn: who comes after a slow one finds the caches cold."""
    orders = tuple(permutations(builders))
    return orders[number * _STRIDE % len(orders)]


def _fifty_of_berth(berth: Berth, source: Source) -> int:
    """Images, not releases that run: each is superseded by the next."""
    source.stamp += 1
    digests = []
    for _ in range(sharing.APPS):
        source.changed_file()
        digests.append(berth.image_of(berth.deployer.upload(source.app.folder)).releases.get().image["digest"])
    berth.deployer.settle()
    return sharing.of_images(engine.store(), digests)


def _fifty_of_docker(docker: peer.Docker, source: Source) -> int:
    for number in range(sharing.APPS):
        source.changed_file()
        docker("build", "-q", "-t", f"bench:app{number}", str(source.app.folder))
    return sharing.on_disk(docker.folder / "data" / name for name in ("image", "overlay2"))


@contextmanager
def _base(app: AppSource, folder: Path) -> Iterator[ImageSpec]:
    """Berth's base image with the files of all that the app depends on, under a name of its own."""
    store = engine.store()
    python = next(name.removeprefix("python:") for name in store.tags() if name.startswith("python:3."))
    app.fetch_wheels(folder / "wheels", python)
    wheels = store.commit_changeset(folder)
    config = store.config(store.resolve(engine.base_image()))
    image = store.put_image(config.with_layer(wheels.diff_id, History("bin/bench build: wheels")))
    store.tag(BASE, image.digest)
    try:
        yield image
    finally:
        store.untag(BASE)


@contextmanager
def _peers(docker: peer.Docker, berth: Deployer, base: ImageSpec) -> Iterator[list[Builder]]:
    """Docker, and buildah where it is installed, with the files of Berth's base image under its name."""
    runtime, tenant = engine.runtime(), tenant_spec(berth.app.tenant)
    runtime.prepare_tenant(tenant)
    with ExitStack() as undo:
        found = docker_builds(docker)
        with files_of(runtime, tenant, base.layers) as rootfs:
            docker.import_image(rootfs, BASE)
            if shutil.which("buildah"):
                storage = settings.PATHS.work / "bench-buildah"
                undo.callback(shutil.rmtree, storage, ignore_errors=True)
                _import(storage, rootfs)
                found.append(buildah_build(storage))
        yield found


def _import(storage: Path, root: Path) -> None:
    storage.mkdir(parents=True)
    container = buildah(storage, "from", "scratch")
    buildah(storage, "add", "-q", container, str(root), "/")
    buildah(storage, "commit", "-q", container, f"docker.io/library/{BASE}")
    buildah(storage, "rm", container)
