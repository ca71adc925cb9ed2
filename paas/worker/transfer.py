"""skopeo(1) in a container of the tenant's: it speaks with registries under the same fences as an app.

So egress rules, quotas and the absence of this machine's loopback come from the contract. What it brings is on
the tenant's disk and is believed by nobody: digests are checked when it is taken into the store.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from paas.builder import demand_wanted
from paas.errors import BadInput, Refused
from paas.images.tools import HOME, USER, tools_layer
from paas.oci.reference import Reference
from paas.specs import MIB, BindMount, Limits
from paas.worker import commands, engine
from paas.worker.sandbox import CA_BUNDLE, operator_env
from paas.worker.transfer_failure import failure
from paas.worker.translate import container_spec
from tenants.apps.models import App
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.registries.models import Login
from tenants.releases.models import Build, Release

LIMITS = Limits(memory_bytes=512 * MIB, swap_bytes=512 * MIB, cpu_millis=1000, weight=50, pids=128)
PROCESS = "transfer"
MAX_MANIFEST = 4 * 1024 * 1024
_AUTH, _IMAGE = "/run/auth.json", "/image"


@dataclass(frozen=True, slots=True)
class Transfer:
    """For one build or one release. `log` gets what skopeo prints."""

    app: App
    build: Build | None = None
    release: Release | None = None
    log: Callable[[bytes], None] = field(default=lambda data: None)
    cancelled: Callable[[], bool] = field(default=lambda: False)

    @contextmanager
    def fetched(self, reference: Reference, *options: str) -> Iterator[Path]:
        """The image in a folder as skopeo's `dir:` has it, until the block ends."""
        tls = _insecure("--src-tls-verify", reference)
        argv = ["copy", *options, *tls, "--authfile", _AUTH, f"docker://{reference}", f"dir:{HOME}/image"]
        with self._finished(argv, reference, f"pulling {reference}", ()) as home:
            yield home / "image"

    def check(self) -> None:
        demand_wanted(self.cancelled)

    @contextmanager
    def compressed(self, layout: Path, reference: Reference) -> Iterator[Path]:
        """An OCI layout's only image as `fetched` gives one, its layers as registries want them."""
        argv = ["copy", "--dest-compress", f"oci:{_IMAGE}", f"dir:{HOME}/image"]
        mounts = (BindMount(layout, _IMAGE),)
        with self._finished(argv, reference, f"compressing what goes to {reference}", mounts) as home:
            yield home / "image"

    def send(self, layout: Path, reference: Reference) -> str:
        """Push what an OCI layout lists, every byte as it is; gives the digest that its name means there."""
        tls = _insecure("--dest-tls-verify", reference)
        digest = f"{HOME}/digest"
        argv = [
            "copy",
            "--all",
            "--preserve-digests",
            "--digestfile",
            digest,
            *tls,
            "--authfile",
            _AUTH,
            f"oci:{_IMAGE}",
            f"docker://{reference}",
        ]
        mounts = (BindMount(layout, _IMAGE),)
        with self._finished(argv, reference, f"pushing {reference}", mounts) as home:
            fd = os.open(home / "digest", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(fd, "rb") as file:
                return file.read(200).decode().strip()

    @contextmanager
    def _finished(
        self, argv: Sequence[str], reference: Reference, what: str, mounts: tuple[BindMount, ...]
    ) -> Iterator[Path]:
        """Run skopeo to its end; its home folder on the tenant's disk, until the block ends."""
        tail: list[bytes] = []

        def listen(data: bytes) -> None:
            tail.append(data)
            del tail[:-20]
            self.log(data)

        with ExitStack() as undo:
            row = self._row()
            auth = undo.enter_context(_auth_file(self.app, reference.host, row.pk, self._owner()))
            spec = container_spec(
                row,
                layers=(tools_layer(engine.store(), "skopeo"),),
                args=("/usr/bin/skopeo", "--command-timeout", "30m", *argv),
                env={**operator_env(), "HOME": HOME, "TMPDIR": HOME},
                workdir=HOME,
                user=f"{USER}:{USER}",
                limits=LIMITS,
                mounts=(*_ca_bundle(), BindMount(auth, _AUTH), *mounts),
            )
            state = undo.enter_context(commands.finished(row, spec, log=listen, cancelled=self.cancelled))
            self.check()
            if state.exit_code != 0:
                raise failure(what, b"".join(tail).decode(errors="replace"), oom=state.oom_killed)
            yield engine.runtime().changeset(row.pk) / HOME.lstrip("/")

    def _row(self) -> Container:
        return observations.new_container(
            app=self.app,
            release=self.release,
            build=self.build,
            kind=Container.Kind.BUILD if self.build else Container.Kind.COMMAND,
            process_type=PROCESS,
            index=1,
            memory_limit=LIMITS.memory_bytes,
        )

    def _owner(self) -> int:
        """The host's id of the container's user."""
        return int(settings.UID_BASE + self.app.tenant.range_index * 65_536 + USER)


def read_manifest(folder: Path) -> bytes:
    """Of an image, or the index, in a folder that skopeo wrote."""
    path = folder / "manifest.json"
    if path.is_symlink() or not path.is_file():
        raise BadInput("what skopeo gave has no manifest", hint="try again")
    with path.open("rb") as file:
        return file.read(MAX_MANIFEST + 1)


def demand_allowed(reference: Reference) -> None:
    if settings.REGISTRIES and reference.host not in settings.REGISTRIES:
        raise Refused(
            f"images of {reference.host} are not allowed on this machine",
            hint=f"use one of {', '.join(settings.REGISTRIES)}, or ask an administrator",
        )


def _insecure(option: str, reference: Reference) -> tuple[str, ...]:
    return (f"{option}=false",) if reference.host in settings.INSECURE_REGISTRIES else ()


def _ca_bundle() -> tuple[BindMount, ...]:
    return (BindMount(Path(settings.BUILD_CA_BUNDLE), CA_BUNDLE),) if settings.BUILD_CA_BUNDLE else ()


@contextmanager
def _auth_file(app: App, host: str, container_id: str, owner: int) -> Iterator[Path]:
    """The tenant's password for this registry alone, in memory, readable by the container's user alone."""
    login = Login.objects.filter(tenant=app.tenant, host=host).first()
    auths = {}
    if login is not None:
        word = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
        auths[host] = {"auth": word}
    folder = settings.PATHS.transfers / container_id
    folder.mkdir(parents=True, mode=0o711)
    folder.parent.chmod(0o711)
    folder.chmod(0o711)
    path = folder / "auth.json"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps({"auths": auths}).encode())
        os.chown(path, owner, owner)
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)
