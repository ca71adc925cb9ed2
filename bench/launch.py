"""`bin/bench launch`: from "start this" to running and to an answer, Berth's engine against `docker run -d`.

The same base layers and the same server (nginx from the base image, one static file) on both sides, one
after the other in each round, so that a noisy moment of the machine hits both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

from bench import docker as peer
from bench.answers import first_answer, tcp
from bench.figures import table
from bench.rootfs import files_of
from bench.steps import timed
from paas.linux import cgroups
from paas.network import Network, address_of, host_resolvers, resolv_conf
from paas.runtime import Runtime
from paas.settings import IO_BYTES, IO_OPERATIONS, PATHS, UID_BASE
from paas.specs import ID_RANGE_SIZE, MIB, ContainerSpec, Limits, TenantSpec
from paas.worker import engine

PORT = 8000
PAGE = b"launched"
CONFIG = f"""
daemon off; worker_processes 1; pid /tmp/nginx.pid; error_log /dev/null;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
server {{ listen {PORT}; location / {{ return 200 "{PAGE.decode()}"; }} }} }}
"""
ARGS = ("/usr/sbin/nginx", "-c", "/srv/nginx.conf")
Trace = dict[str, list[float]]


class Launch(NamedTuple):
    """Seconds from "start this": until its first process runs its command, and until it answers."""

    running: float
    answered: float


class Bench:
    """Berth's side: a tenant, a network, one container after the other."""

    def __init__(self, runtime: Runtime, network: Network, layers: tuple[str, ...]) -> None:
        self.runtime, self.network, self.layers = runtime, network, layers
        quota = Limits(memory_bytes=4096 * MIB, pids=4096)
        self.tenant = TenantSpec("be0c40000001", UID_BASE + 4000 * ID_RANGE_SIZE, quota, 2048 * MIB)

    def spec(self, number: int) -> ContainerSpec:
        address = address_of(self.network.container_prefix, 40_000 + number)
        return ContainerSpec(
            id=f"be0c4{number:07x}", tenant=self.tenant, app_id="be0c40000002", layers=self.layers, args=ARGS,
            env=(("PATH", "/usr/sbin:/usr/bin"),), address=address, resolver=resolv_conf(host_resolvers()),
            limits=Limits(io_bytes=IO_BYTES, io_operations=IO_OPERATIONS),
        )  # fmt: skip

    def launch(self, number: int, trace: Trace) -> Launch:
        """`trace` gets the seconds of each part."""
        spec, log = self.spec(number), PATHS.work / "bench.log"
        begin = last = time.monotonic()

        def mark(part: str) -> None:
            nonlocal last
            now = time.monotonic()
            trace.setdefault(part, []).append(now - last)
            last = now

        cgroups.expect_moves()
        self.runtime.prepare_tenant(self.tenant)
        mark("prepare tenant")
        steps: dict[str, float] = {}
        with (
            timed(steps.__setitem__),
            self.network.connecting(spec.id, spec.tenant.uid_base, spec.address) as connect,
        ):
            self.runtime.create(spec, log, connect)
        mark("create and connect")
        for step, seconds in steps.items():
            trace.setdefault(f"  {step}", []).append(seconds)
        self.runtime.start(spec.id)
        mark("start")
        running = last
        end = first_answer(tcp(str(spec.address), PORT), "/", PAGE)
        mark("first answer")
        self.remove(spec.id, spec.address)
        return Launch(running - begin, end - begin)

    def remove(self, container_id: str, address: IPv4Address) -> None:
        self.runtime.delete(container_id)
        self.network.disconnect(container_id, address)


def docker_launch(docker: peer.Docker, name: str) -> Launch:
    begin = time.monotonic()
    docker("run", "-d", "--name", name, "-m", "512m", "--cpus", "1", "--pids-limit", "256", "bench:1", *ARGS)
    running = time.monotonic()
    end = first_answer(docker.tcp(docker.address(name), PORT), "/", PAGE)
    docker("rm", "-f", name)
    return Launch(running - begin, end - begin)


def run(*, rounds: int, with_docker: bool, trace: bool) -> None:
    """Print the table. Run it in the mount namespace of a Berth that is up."""
    store = engine.store()
    image = store.image(store.resolve(engine.base_image()))
    layer = _config_layer()
    engine.network().apply_base()
    bench = Bench(engine.runtime(), engine.network(), (*image.layers, layer))
    parts: Trace = {}
    figures: dict[str, list[Launch]] = {"berth": []}
    bench.launch(0, {})
    try:
        with _peer(bench) if with_docker else _nobody() as docker:
            if docker:
                figures["docker run -d"] = []
                docker_launch(docker, "warm")
            for number in range(1, rounds + 1):
                figures["berth"].append(bench.launch(number, parts))
                if docker:
                    figures["docker run -d"].append(docker_launch(docker, f"n{number}"))
    finally:
        bench.runtime.remove_tenant(bench.tenant.id)
    base = "docker run -d" if with_docker else None
    for title, place in (("launch to running", 0), ("launch to first answer", 1)):
        print(
            table(
                title, {name: [took[place] for took in all_of] for name, all_of in figures.items()}, base=base
            )
        )
    if trace:
        print(table("where Berth's time goes", parts))


def _config_layer() -> str:
    """A layer with nginx's configuration; its DiffID."""
    with tempfile.TemporaryDirectory(dir=PATHS.work) as folder:
        place = Path(folder) / "upper" / "srv"
        place.mkdir(parents=True)
        (place / "nginx.conf").write_text(CONFIG)
        return engine.store().commit_changeset(place.parent).diff_id


@contextmanager
def _nobody() -> Iterator[None]:
    yield None


@contextmanager
def _peer(bench: Bench) -> Iterator[peer.Docker]:
    """Docker with the same files imported as one image."""
    with peer.running(PATHS.work / "bench-docker") as docker:
        with files_of(bench.runtime, bench.tenant, bench.layers) as rootfs:
            docker.import_image(rootfs, "bench:1")
        yield docker
