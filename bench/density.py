"""`bin/bench density`: what a container costs the machine, and a hundred of them, Berth against Docker.

The same files, programs and limits on both sides. Docker is asked for a hundred, measured and cleared away, and
then Berth: neither has the other's memory to live with.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from bench import docker as peer
from bench import launch, machine
from bench.answers import Connect, first_answer, tcp
from bench.figures import table
from bench.rootfs import files_of
from paas.network import Network, address_of, host_resolvers, resolv_conf
from paas.network.asleep import Sleeper
from paas.runtime import Runtime
from paas.settings import PATHS, UID_BASE
from paas.specs import ID_RANGE_SIZE, MIB, ContainerSpec, Limits, TenantSpec
from paas.worker import engine

ASK_SECONDS = 0.02
QUIET_SECONDS = 1.0
AT_ONCE = 8  # on either side so many are started side by side, until all are
PORT = 8000
PATIENCE_SECONDS = 120.0
BALLAST = 28  # MiB that the app has read or computed; with Python and its server about 40
PROGRAM = f"""\
import http.server, os
ballast = os.urandom({BALLAST} << 20)

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"awake %d" % ballast[-1])

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("0.0.0.0", {PORT}), Answer).serve_forever()
"""
BARE = ("/bin/sleep", "86400")
APP = ("/usr/bin/python3", "/srv/app.py")


class Side(Protocol):
    """A platform that starts containers by number."""

    def start(self, number: int, args: Sequence[str]) -> None: ...
    def connect(self, number: int) -> Connect: ...
    def clear(self) -> None: ...


@dataclass(slots=True)
class Berth:
    runtime: Runtime
    network: Network
    layers: tuple[str, ...]
    many: int
    started: list[ContainerSpec] = field(default_factory=list)

    @property
    def tenant(self) -> TenantSpec:
        quota = Limits(
            self.many * 128 * MIB,
            swap_bytes=self.many * 128 * MIB,
            cpu_millis=1000 * self.many,
            pids=32 * self.many,
        )
        return TenantSpec("be0d40000001", UID_BASE + 4001 * ID_RANGE_SIZE, quota, 4096 * MIB)

    def spec(self, number: int, args: Sequence[str]) -> ContainerSpec:
        address = address_of(self.network.container_prefix, 30_000 + number)
        return ContainerSpec(
            id=f"be0d4{number:07x}", tenant=self.tenant, app_id="be0d40000002", layers=self.layers,
            args=tuple(args), env=(("PATH", "/usr/sbin:/usr/bin"),), address=address,
            resolver=resolv_conf(host_resolvers()), limits=Limits(memory_bytes=128 * MIB, swap_bytes=128 * MIB),
        )  # fmt: skip

    def start(self, number: int, args: Sequence[str]) -> None:
        spec = self.spec(number, args)
        self.runtime.prepare_tenant(spec.tenant)
        self.started.append(spec)
        with self.network.connecting(spec.id, spec.tenant.uid_base, spec.address) as connect:
            self.runtime.create(spec, PATHS.work / "bench.log", connect)
        self.runtime.start(spec.id)

    def connect(self, number: int) -> Connect:
        return tcp(str(address_of(self.network.container_prefix, 30_000 + number)), PORT)

    def watch(self) -> None:
        """As the agent does ten seconds after the start of each: what it uses from now on counts as used."""
        for spec in self.started:
            engine.bed().watch(spec.address, self.runtime.cgroup_of(spec.id))
        self.rest()

    def rest(self) -> None:
        """The other thing that the agent does then. The first one is not each one's."""
        for spec in self.started[1:]:
            self.runtime.page_out_helpers(spec.id)

    def lay_down(self) -> None:
        """Put them to sleep, as the agent does, less its patience."""
        for spec in self.started:
            cgroup = self.runtime.cgroup_of(spec.id)
            used = cgroup.usage().memory_bytes
            sleeper = Sleeper(spec.id, str(spec.address), cgroup.name, time.time(), used)
            if not engine.bed().lay(sleeper, 0.0):
                raise RuntimeError(f"{spec.id} does not sleep")
        self.rest()

    def clear(self) -> None:
        while self.started:
            spec = self.started.pop()
            self.runtime.delete(spec.id)
            self.network.disconnect(spec.id, spec.address)


@dataclass(slots=True)
class Docker:
    docker: peer.Docker
    addresses: dict[int, str] = field(default_factory=dict)

    def start(self, number: int, args: Sequence[str]) -> None:
        limits = ("-m", "128m", "--memory-swap", "256m", "--cpus", "1", "--pids-limit", "256")
        self.docker("run", "-d", "--name", f"n{number}", *limits, "bench:1", *args)

    def connect(self, number: int) -> Connect:
        if number not in self.addresses:
            self.addresses[number] = self.docker.address(f"n{number}")
        return self.docker.tcp(self.addresses[number], PORT)

    def clear(self) -> None:
        self.addresses.clear()
        names = self.docker("ps", "-aq").split()
        if names:
            self.docker("rm", "-f", *names)


@dataclass(slots=True)
class Figures:
    """Bytes for each of many containers, the seconds until the last of many answered, and how long one that ran
    before took for each answer meanwhile."""

    overhead: float
    rested: float | None
    app: float
    all_answer: float
    meanwhile: list[float]
    asleep: float | None = None
    first_wakes: list[float] = field(default_factory=list)
    later_wakes: list[float] = field(default_factory=list)


def run(*, many: int, with_docker: bool) -> None:
    """Print the tables. Run it in the mount namespace of a Berth that is up."""
    store = engine.store()
    image = store.image(store.resolve(engine.base_image()))
    engine.network().apply_base()
    berth = Berth(engine.runtime(), engine.network(), (*image.layers, _program_layer()), many)
    sides: dict[str, Figures] = {}
    try:
        if with_docker:
            with _docker(berth) as docker:
                sides["docker"] = _measure(docker, many)
        sides["berth"] = _measure(berth, many)
    finally:
        berth.clear()
        berth.runtime.remove_tenant(berth.tenant.id)
    print(_sizes(sides, many))
    base = "docker" if with_docker else None
    rows = {name: [side.all_answer] for name, side in sides.items()}
    print(table(f"{many} nginx at once: until all answer", rows, base=base))
    rows = {name: side.meanwhile for name, side in sides.items()}
    print(table("  meanwhile: an answer of one that ran before", rows, base=base))
    wakes = {"first wake": sides["berth"].first_wakes, "second wake": sides["berth"].later_wakes}
    if all(wakes.values()):
        print(table("from a request to a sleeping app to its answer", wakes))
        for name, took in wakes.items():
            print(f"  {name}: p99 {statistics.quantiles(took, n=100, method='inclusive')[98] * 1000:.1f} ms")
    else:
        print("no swap, so nothing sleeps: bin/up --swap 8G")


def _measure(side: Side, many: int) -> Figures:
    try:
        side.start(0, BARE)  # what comes with the first one is not each one's
        before = machine.held() - _own(BARE)
        _start_many(side, BARE, many)
        overhead, rested = (machine.held() - _own(BARE) - before) / many, None
        if isinstance(side, Berth) and machine.has_swap():
            side.rest()
            rested = (machine.held() - _own(BARE) - before) / many
        side.clear()
        side.start(0, launch.ARGS)
        first_answer(side.connect(0), "/", launch.PAGE)
        begin = time.monotonic()
        with _asked_all_the_time(side.connect(0), launch.PAGE) as meanwhile:
            _start_many(side, launch.ARGS, many)
            _until_all_answer(side, launch.PAGE, many)
        answered = time.monotonic() - begin
        side.clear()
        side.start(0, APP)
        before = machine.held()
        _start_many(side, APP, many)
        _until_all_answer(side, b"awake", many)
        figures = Figures(overhead, rested, (machine.held() - before) / many, answered, meanwhile)
        if isinstance(side, Berth) and machine.has_swap():
            _sleep(side, many, before, figures)
        return figures
    finally:
        side.clear()


def _sleep(berth: Berth, many: int, before: int, figures: Figures) -> None:
    """Each was asked once after its start, as an app is that somebody tries. All of them sleep, wake by a
    request, sleep again and are woken once more."""
    berth.watch()
    _until_all_answer(berth, b"awake", many)
    time.sleep(QUIET_SECONDS)
    for wakes in (figures.first_wakes, figures.later_wakes):
        berth.lay_down()
        figures.asleep = (machine.held() - before) / many
        for number in range(1, many + 1):
            begin = time.monotonic()
            end = first_answer(berth.connect(number), "/", b"awake", patience=PATIENCE_SECONDS)
            wakes.append(end - begin)
        time.sleep(QUIET_SECONDS)


@contextmanager
def _asked_all_the_time(connect: Connect, page: bytes) -> Iterator[list[float]]:
    """Seconds that each answer took until the block ends."""
    took: list[float] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(ASK_SECONDS):
            begin = time.monotonic()
            took.append(first_answer(connect, "/", page) - begin)

    with ThreadPoolExecutor(1) as asker:
        asking = asker.submit(ask)
        try:
            yield took
        finally:
            ended.set()
        asking.result()


def _own(command: Sequence[str]) -> int:
    """Bytes that the processes with this command line have alone."""
    return machine.private(machine.running(" ".join(command)))


def _until_all_answer(side: Side, wanted: bytes, many: int) -> None:
    for number in range(1, many + 1):
        first_answer(side.connect(number), "/", wanted, patience=PATIENCE_SECONDS)


def _start_many(side: Side, args: Sequence[str], many: int) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(partial(_start, side, args), range(1, many + 1)))


def _start(side: Side, args: Sequence[str], number: int) -> None:
    side.start(number, args)


def _sizes(sides: dict[str, Figures], many: int) -> str:
    """Docker's idle app is what a sleeping one is compared with."""
    docker, app = sides.get("docker"), f"an app of {BALLAST + 12} MiB, idle"
    rows: list[tuple[str, str, float, float | None]] = []
    for name, one in sides.items():
        rows.append(("kernel and helpers, of a container", name, one.overhead, docker and docker.overhead))
        if one.rested is not None:
            rows.append(("  and after ten seconds", name, one.rested, docker and docker.overhead))
        rows.append((app, name, one.app, docker and docker.app))
        if one.asleep is not None:
            rows.append(("  and when it sleeps", name, one.asleep, docker and docker.app))
    lines = [f"memory that is not shared, one of {many}"]
    for title, name, size, other in rows:
        ratio = f"{size / other:.3f}" if other else ""
        lines.append(f"  {title:38}{name:8}{size / MIB:9.2f} MiB  {ratio}".rstrip())
    return "\n".join(lines)


def _program_layer() -> str:
    """A layer with the app; its DiffID."""
    with tempfile.TemporaryDirectory(dir=PATHS.work) as folder:
        place = Path(folder) / "upper" / "srv"
        place.mkdir(parents=True)
        (place / "app.py").write_text(PROGRAM)
        (place / "nginx.conf").write_text(launch.CONFIG)
        return engine.store().commit_changeset(place.parent).diff_id


@contextmanager
def _docker(berth: Berth) -> Iterator[Docker]:
    """Docker with the same files imported as one image."""
    with ExitStack() as undo:
        docker = undo.enter_context(peer.running(PATHS.work / "bench-docker"))
        berth.runtime.prepare_tenant(berth.tenant)
        with files_of(berth.runtime, berth.tenant, berth.layers) as rootfs:
            docker.import_image(rootfs, "bench:1")
        yield Docker(docker)
