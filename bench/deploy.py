"""`bin/bench deploy`: from changed source on disk to the first answer of the new version.

Berth as a developer meets it, through everything that is up, against `docker build` and `docker run -d` with
the same source on the same base. All candidates take turns in each round.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from bench import docker as peer
from bench.answers import first_answer, tcp
from bench.figures import table
from bench.rootfs import files_of
from bench.source import AppSource
from bench.tenant import Deployer, deployer, marks_of
from paas.builder.procfile import shell
from paas.host import code
from paas.worker import engine, lock
from paas.worker.translate import tenant_spec

PORT = 8000
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.001
WARM_UP, CHANGED = "warm-up", "one file changed"
UPLOAD, DOCKER = "berth, upload by API", "docker build + docker run"
# What Berth's Python builder does, in Docker's words; pip finds in /wheels what it would else download.
DOCKERFILE = """\
FROM bench:base
ENV PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin VIRTUAL_ENV=/app/.venv PYTHONUNBUFFERED=1
WORKDIR /app
COPY requirements.txt ./
RUN python3 -m venv .venv && pip install --no-index --find-links /wheels -r requirements.txt
COPY . .
USER 1000:1000
CMD {command}
"""
Figures = dict[str, list[float]]


@dataclass(slots=True)
class Round:
    """What every candidate deploys next: the same change, each with a text of its own."""

    source: AppSource
    scenario: str

    def change(self, candidate: str, version: int) -> bytes:
        """Change the source; what the new version's front page says and the one before does not."""
        text = f"{candidate} {version}"
        self.source.answer(text)
        return text.encode()


class Parts:
    """Where the time goes: scenario -> part -> seconds, one each deploy."""

    def __init__(self) -> None:
        self.seconds: dict[str, Figures] = {}

    def add(self, scenario: str, marks: Iterable[tuple[str, float]], begin: float) -> None:
        """`marks` are (part, when it ended), in order."""
        rows = self.seconds.setdefault(scenario, {})
        for part, end in marks:
            rows.setdefault(part, []).append(end - begin)
            begin = end


@dataclass(slots=True)
class Berth:
    deployer: Deployer
    parts: Parts = field(default_factory=Parts)

    def by_upload(self, this: Round) -> float:
        wanted, wall = this.change("upload", self.deployer.version() + 1), time.time()
        took = self._timed(wanted, lambda: self.deployer.upload(this.source.folder))
        self.parts.add(this.scenario, marks_of(self.deployer.app, wall + took), wall)
        return took

    def by_command(self, this: Round) -> float:
        wanted = this.change("command", self.deployer.version() + 1)
        with ExitStack() as undo:
            return self._timed(
                wanted, lambda: undo.callback(self.deployer.command(this.source.folder).communicate)
            )

    def _timed(self, wanted: bytes, act: Callable[[], object]) -> float:
        before = self._switched_at()
        begin = time.monotonic()
        act()
        self._until_switched(before)
        ingress = tcp("127.0.0.1", settings.PORT)
        end = first_answer(ingress, "/", wanted, host=self.deployer.app.host, patience=PATIENCE_SECONDS)
        self.deployer.settle()
        return end - begin

    def _switched_at(self) -> int:
        """When the ingress was last told where the app's requests go, in nanoseconds; 0 for never."""
        try:
            return (engine.table().folder / self.deployer.app.host).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _until_switched(self, before: int) -> None:
        """No visitor meets the new version before. Each who asks meanwhile costs the one that serves an answer,
        from the very cores that build and start the next one."""
        last, look = time.monotonic() + PATIENCE_SECONDS, time.monotonic() + 5.0
        while self._switched_at() == before:
            now = time.monotonic()
            if now > last or (now > look and not self.deployer.is_under_way()):
                raise RuntimeError(f"the new version does not serve: {self.deployer.why_not()}")
            look = now + 5.0 if now > look else look
            time.sleep(LOOK_SECONDS)


@dataclass(slots=True)
class DockerApp:
    docker: peer.Docker
    dockerfile: Path
    version: int = 0
    parts: Parts = field(default_factory=Parts)

    def deploy(self, this: Round) -> float:
        """Seconds to the first answer; the version before is removed outside of them, as on Berth's side."""
        self.version += 1
        name, wanted = f"v{self.version}", this.change("docker", self.version)
        begin = time.monotonic()
        self.docker(
            "build", "-q", "-t", f"guestbook:{name}", "-f", str(self.dockerfile), str(this.source.folder)
        )
        built = time.monotonic()
        self.docker(
            "run", "-d", "--name", name, "-m", "128m", "--cpus", "1", "--pids-limit", "256",
            "-e", f"PORT={PORT}", "-e", f"BERTH_RELEASE={name}", f"guestbook:{name}",
        )  # fmt: skip
        runs = time.monotonic()
        connect = self.docker.tcp(self.docker.address(name), PORT)
        end = first_answer(connect, "/", wanted, patience=PATIENCE_SECONDS)
        self.parts.add(
            this.scenario, [("docker build", built), ("docker run", runs), ("app starts", end)], begin
        )
        if self.version > 1:
            self.docker("rm", "-f", f"v{self.version - 1}")
        return end - begin


def run(*, rounds: int, with_docker: bool, trace: bool) -> None:
    """Print a table. Needs a Berth that is up; leaves nothing of itself on it."""
    demand_same_code()
    with ExitStack() as undo:
        if not undo.enter_context(lock.held("bench")):
            raise SystemExit("bin/bench: another run measures this Berth; wait for it to end")
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="berth-bench-")))
        source = AppSource.copied_to(folder / "guestbook")
        berth = Berth(undo.enter_context(deployer()))
        candidates = {"berth deploy": berth.by_command, UPLOAD: berth.by_upload}
        traced = {UPLOAD: berth.parts}
        berth.by_upload(Round(source, WARM_UP))
        if with_docker:
            other = undo.enter_context(_docker_app(source, folder, berth.deployer))
            other.deploy(Round(source, WARM_UP))
            candidates[DOCKER], traced[DOCKER] = other.deploy, other.parts
        figures = _measure(candidates, source, rounds)
    print(table(f"{CHANGED}: source to first answer", figures, base=DOCKER if with_docker else None))
    for name, parts in traced.items() if trace else ():
        print(table(f"  where the time goes: {name}", parts.seconds[CHANGED]))


def demand_same_code() -> None:
    """What is measured is what runs, and that should be what whoever measures has before their eyes."""
    installed = settings.PATHS.state / "code"
    if code.digest(settings.BASE_DIR) != code.digest(installed):
        raise SystemExit("bin/bench: the Berth that is up runs other code than this clone; run bin/up first")


def _measure(candidates: Mapping[str, Callable[[Round], float]], source: AppSource, rounds: int) -> Figures:
    figures: Figures = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, deploy in candidates.items():
            figures[name].append(deploy(Round(source, CHANGED)))
    return figures


@contextmanager
def _docker_app(source: AppSource, folder: Path, berth: Deployer) -> Iterator[DockerApp]:
    """Docker with Berth's base image, the dependencies' files in it, and the Dockerfile beside the source."""
    store, runtime = engine.store(), engine.runtime()
    base = store.image(store.resolve(engine.base_image()))
    python = next(name.removeprefix("python:") for name in store.tags() if name.startswith("python:3."))
    dockerfile, wheels = folder / "Dockerfile", folder / "wheels"
    dockerfile.write_text(DOCKERFILE.format(command=json.dumps(shell(source.command))))
    source.fetch_wheels(wheels, python)
    with peer.running(settings.PATHS.work / "bench-docker") as docker:
        with files_of(runtime, tenant_spec(berth.app.tenant), base.layers) as rootfs:
            docker.import_image(rootfs, "bench:base", more={"wheels": wheels})
        yield DockerApp(docker, dockerfile)
