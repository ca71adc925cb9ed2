"""An outside with registries: a network namespace behind the host's uplink, Debian's docker-registry in it, and
a hostile one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from paas.images import Store
from paas.oci.config import Healthcheck, History, ImageConfig
from paas.worker import engine
from tests.network.conftest import Peer
from tests.runtime.conftest import BASE, _make_base_layer
from tests.worker.host import MIB, Host

UPLINK, ADDRESS = "203.0.113.1", "203.0.113.2"
OPEN, CLOSED, HOSTILE = f"{ADDRESS}:5000", f"{ADDRESS}:5001", f"{ADDRESS}:5002"
USERNAME, PASSWORD = "sailor", "a berth for every boat"
_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
{more}
"""
_HTPASSWD = "auth: {{htpasswd: {{realm: closed, path: {path}}}}}"


@dataclass(frozen=True)
class Outside:
    folder: Path
    peer: Peer

    def __call__(self, *argv: str, env: Mapping[str, str] | None = None) -> str:
        """Run a program out there, to its end."""
        done = subprocess.run(
            self._there(*argv), capture_output=True, text=True, check=False, env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{argv}: {done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def serving(self, *argv: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"log-{port}").open("wb") as log:
            process = subprocess.Popen(self._there(*argv), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait(port, process)
            yield process
        finally:
            process.kill()
            process.wait()

    def _there(self, *argv: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.peer.pid}/ns/net", "--", *argv]

    @contextmanager
    def registry(self, host: str, *, password: bool = False) -> Iterator[None]:
        folder = self.folder / host.replace(":", "-")
        folder.mkdir()
        passwords = folder / "passwords"
        passwords.write_text(f"{USERNAME}:{_bcrypt(PASSWORD)}\n")
        more = _HTPASSWD.format(path=passwords) if password else ""
        (folder / "config.yml").write_text(_CONFIG.format(folder=folder / "data", address=host, more=more))
        argv = ("docker-registry", "serve", str(folder / "config.yml"))
        with self.serving(*argv, port=int(host.rpartition(":")[2])):
            yield

    @contextmanager
    def hostile(self, behaviour: str) -> Iterator[None]:
        script = str(Path(__file__).with_name("hostile_registry.py"))
        with self.serving(sys.executable, "-I", "-S", script, HOSTILE, behaviour, port=5002):
            yield


def listed_first(world: Outside, image: str) -> str:
    """The digest of the image in an index."""
    index = json.loads(world("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}"))
    return str(index["manifests"][0]["digest"])


@pytest.fixture
def world(host: Host, settings: Any) -> Iterator[Outside]:
    settings.INSECURE_REGISTRIES = [OPEN, CLOSED, HOSTILE]
    host.cast.tenant.disk_bytes = 160 * MIB
    host.cast.tenant.memory_bytes = 1024 * MIB
    host.cast.tenant.save()
    _with_real_image(host)
    folder: Path = settings.PATHS.state.parent / "outside"
    folder.mkdir()
    with outside(folder, settings.CONTAINER_PREFIX) as found:
        yield found


def _with_real_image(host: Host) -> None:
    """The cast's release with an image that has digests: busybox as a layer that can be exported."""
    store = engine.store()
    image = put_busybox(store, "Cmd says hello")
    host.release.image = {**host.release.image, "digest": image, "layers": list(store.image(image).layers)}
    host.release.save()


def put_busybox(store: Store, label: str) -> str:
    folder = store.root.parent / "busybox"
    _make_base_layer(folder)
    upper = folder / "layers" / BASE.removeprefix("sha256:")
    info = store.commit_changeset(upper, epoch=1)
    shutil.rmtree(folder)
    config = ImageConfig(
        env=(("PATH", "/bin"),),
        cmd=("sh", "-c", "echo started; sleep 60"),
        user="1000:1000",
        labels=(("label", label),),
        healthcheck=Healthcheck(("CMD-SHELL", "test -e /bin/busybox"), timeout=2 * 10**9),
    )
    return store.put_image(config.with_layer(info.diff_id, History("busybox"))).digest


@contextmanager
def outside(folder: Path, containers: IPv4Network, *, default: bool = True) -> Iterator[Outside]:
    """In the network namespace that this thread is in; its default route, too, unless it has another."""
    with ExitStack() as undo:
        peer = Peer("--net")
        undo.callback(peer.end)
        _ip(f"link add up0 type veth peer name eth0 netns {peer.pid}")
        undo.callback(_ip, "link del up0")
        _ip(f"address add {UPLINK}/24 dev up0")
        _ip("link set up0 up")
        if default:
            _ip(f"route add default via {ADDRESS}")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{ADDRESS}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", str(containers), "via", UPLINK),
        ):
            peer("run", "ip", *words)
        yield Outside(folder, peer)


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def _bcrypt(password: str) -> str:
    """What docker-registry wants; libcrypt has it, and Perl reaches that."""
    line = "print crypt($ARGV[0], q($2b$05$abcdefghijklmnopqrstuu))"
    return subprocess.run(
        ["perl", "-e", line, password], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
    ).stdout


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((ADDRESS, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the registry did not come up")


def missing() -> list[str]:
    """Programs that these tests need and this machine has not (apt-get install skopeo docker-registry)."""
    return [name for name in ("skopeo", "docker-registry", "perl") if shutil.which(name) is None]
