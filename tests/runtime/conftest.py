"""A runtime on the real kernel with its own folders, cgroup root and a layer of nothing but busybox.

All mounts are in a mount namespace of the test process's own and end with it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from paas.linux.cgroups import UNIFIED, Cgroup, host_tree
from paas.linux.namespaces import enter_private_mount_namespace
from paas.logs import read_tail
from paas.paths import Paths
from paas.runtime import Runtime
from paas.specs import MIB, BindMount, ContainerSpec, ContainerState, Limits, TenantSpec

CGROUP_ROOT = f"/br{os.getpid()}"
BASE = "sha256:" + "b" * 64
UID_BASE = 1_879_048_192 + 100 * 65_536
APPLETS = (
    "sh cat chmod echo id sleep ls mkdir mknod mount touch dd grep head yes stat true kill seq rm ln awk nproc"
)
# The host's own Python, shown read-only: for system calls that no busybox applet makes.
PYTHON = (
    BindMount(Path("/usr"), "/usr"),
    *((BindMount(Path(sys.base_prefix), sys.base_prefix),) if not sys.base_prefix.startswith("/usr") else ()),
)


def _make_base_layer(store: Path) -> None:
    layer = store / "layers" / BASE.removeprefix("sha256:")
    for folder in ("bin", "etc", "tmp", "proc", "sys", "dev", "srv", "usr"):
        (layer / folder).mkdir(parents=True)
    (layer / "tmp").chmod(0o1777)
    shutil.copy2("/bin/busybox", layer / "bin" / "busybox")
    for applet in APPLETS.split():
        (layer / "bin" / applet).symlink_to("busybox")
    for link in ("lib", "lib64"):
        (layer / link).symlink_to(f"usr/{link}")
    (layer / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/srv:/bin/sh\nfar:x:70000:0::/:/bin/sh\n"
    )
    (layer / "etc" / "group").write_text("root:x:0:\napp:x:1000:\nextra:x:1234:app,root\n")
    for name in ("resolv.conf", "hosts", "hostname"):
        (layer / "etc" / name).touch()


@dataclass
class Bed:
    """The runtime under test with two tenants, and what tests ask of it over and over."""

    runtime: Runtime
    paths: Paths
    tenant: TenantSpec
    neighbour: TenantSpec
    made: list[str] = field(default_factory=list)

    def spec(self, *args: str, **changes: Any) -> ContainerSpec:
        """The base spec with a shell line (one argument) or a command, and what is to be different."""
        base = ContainerSpec(
            id=uuid4().hex[:12],
            tenant=self.tenant,
            app_id="a" * 12,
            layers=(BASE,),
            args=("sh", "-c", *args) if len(args) == 1 else args,
            env=(("GREETING", "hello"),),
            address=IPv4Address("10.209.1.1"),
            limits=Limits(memory_bytes=64 * MIB, swap_bytes=0, pids=32),
            resolver="nameserver 10.209.0.1\n",
        )
        return replace(base, **changes)

    def log(self, spec: ContainerSpec) -> Path:
        return self.paths.container_log(spec.id)

    def launch(self, spec: ContainerSpec) -> ContainerSpec:
        self.made.append(spec.id)
        self.runtime.create(spec, self.log(spec))
        self.runtime.start(spec.id)
        return spec

    def finish(self, spec: ContainerSpec, timeout: float = 30) -> ContainerState:
        """Run to the end."""
        self.launch(spec)
        state = self.runtime.wait(spec.id, timeout)
        assert state.status == "stopped", state
        return state

    def output(self, spec: ContainerSpec) -> list[str]:
        return [line.text for line in read_tail(self.log(spec), 200)]

    def says(self, *args: str, **changes: Any) -> list[str]:
        """What a command prints inside a container of the base spec with some things changed."""
        spec = self.spec(*args, **changes)
        self.finish(spec)
        return self.output(spec)

    def python(self, code: str, **changes: Any) -> list[str]:
        """What a Python program prints inside."""
        program = str(Path(sys.base_prefix) / "bin" / "python3")
        return self.says(program, "-I", "-S", "-c", code, mounts=PYTHON, **changes)

    @staticmethod
    def until(condition: Callable[[], bool], timeout: float = 10.0) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "it did not come true"
            time.sleep(0.01)

    def leftovers(self, container_id: str) -> list[str]:
        """Every trace of a container on this host but its log."""
        found = [str(path) for path in self.paths.run.rglob(f"*{container_id}*")]
        found += [
            str(path)
            for root in (*host_tree().folders, UNIFIED)
            for path in root.glob(f"br*/**/{container_id}")
        ]
        found += [
            line for line in Path("/proc/self/mountinfo").read_text().splitlines() if container_id in line
        ]
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                found += [str(process)] if container_id in process.read_text() else []
        return found


@pytest.fixture(scope="session")
def _bed() -> Iterator[Bed]:
    enter_private_mount_namespace()
    # The runtime acts as the tenant's root, who must be able to pass: pytest's tmp_path is closed to others.
    top = Path(tempfile.mkdtemp(prefix="berth-br-"))
    top.chmod(0o711)
    paths = Paths(state=top / "state", run=top / "run")
    _make_base_layer(paths.store)
    runtime = Runtime(paths, CGROUP_ROOT)
    quota = Limits(memory_bytes=256 * MIB, swap_bytes=0, cpu_millis=2000, pids=200)
    tenants = [TenantSpec(name * 12, UID_BASE + i * 65_536, quota, 48 * MIB) for i, name in enumerate("cd")]
    try:
        for tenant in tenants:
            runtime.prepare_tenant(tenant)
        yield Bed(runtime, paths, tenants[0], tenants[1])
    finally:
        for tenant in tenants:
            runtime.remove_tenant(tenant.id)
        for name in (f"{CGROUP_ROOT}/_conmon", CGROUP_ROOT):
            Cgroup(name).remove()
        shutil.rmtree(top)


@pytest.fixture
def bed(_bed: Bed) -> Iterator[Bed]:
    yield _bed
    for container_id in _bed.made:
        _bed.runtime.delete(container_id)
    _bed.made.clear()
