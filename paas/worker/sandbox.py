"""Where the builder's steps run: inside the tenant's fences, under the same contract as the app itself."""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from django.conf import settings

from paas.builder import StepResult, demand_wanted, hints
from paas.builder.plan import CacheMount
from paas.builder.sandbox import Look, StepMount
from paas.errors import StepFailed
from paas.images.budget import go_on
from paas.images.tools import HOME, USER, tools_layer
from paas.runtime import PlainRootfs, confined
from paas.runtime.space import Space
from paas.specs import MIB, BindMount, Egress, Limits, Mount, TenantSpec
from paas.worker import caches, commands, engine, left_behind, lock
from paas.worker.translate import container_spec, tenant_spec
from tenants.accounts.models import Tenant
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.releases.models import Build

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Variables with which the usual clients are pointed at the operator's CA bundle.
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE")
CONNECT_SECONDS = 10
_DOWNLOAD = f"{HOME}/download"
# curl(1), EXIT CODES.
_REFUSED_BY_SERVER, _CERTIFICATE_REFUSED = 22, 60
_ANSWERED = re.compile(r"returned error: (\d{3})")
_NEEDS_SIGN_IN = (
    "the server wants a sign-in: put the file into the source, or RUN a command with a secret mount"
)
_NOT_THERE = "the server has no such file: check the address"
_BY_STATUS = {"401": _NEEDS_SIGN_IN, "403": _NEEDS_SIGN_IN, "404": _NOT_THERE, "410": _NOT_THERE}
_REACH: dict[Egress, str] = {
    "open": "builds reach what apps reach: the internet, and not this machine or private networks",
    "list": "builds reach what apps reach: nothing but what the tenant's egress policy lists (see berth "
    "network); ask an administrator to add the server's address",
    "none": "builds reach what apps reach: nothing, for the tenant's egress policy is none (see berth "
    "network); ask an administrator to change that",
}
T = TypeVar("T")


class BuildSandbox:
    """The builder's `Sandbox`, for one build."""

    def __init__(self, build: Build, *, cancelled: Callable[[], bool]) -> None:
        self._build, self._cancelled = build, cancelled
        self._steps = 0
        self._is_prepared = False

    @property
    def _tenant(self) -> TenantSpec:
        """With the quota that it has now: the kernel may refuse what a former one allowed."""
        return tenant_spec(Tenant.objects.get(pk=self._build.app.tenant_id))

    @property
    def egress(self) -> Egress:
        tenant = Tenant.objects.get(pk=self._build.app.tenant_id)  # what it is now
        return tenant.egress  # type: ignore[return-value]  # one of its choices

    def prepare(self) -> None:
        """Whatever follows needs the tenant's disk and cgroup."""
        if not self._is_prepared:
            engine.runtime().prepare_tenant(self._tenant)
            self._is_prepared = True

    def confined(self, work: Callable[[Look], T], *, is_light: bool) -> T:
        if is_light:
            return work(self._demand_wanted)
        self.prepare()
        self._demand_wanted()
        tenant = self._tenant
        result = confined.run(
            Space(settings.PATHS, settings.CGROUP_ROOT, tenant.id),
            tenant,
            partial(work, go_on),
            name=self._build.pk,
            limits=build_limits(),
            look=self._demand_wanted,
        )
        self._demand_wanted()
        return result

    def _demand_wanted(self) -> None:
        demand_wanted(self._cancelled)

    def turn(self, key: str, waiting: Callable[[], object]) -> AbstractContextManager[None]:
        return lock.turn(f"step-{key}", waiting)

    @contextmanager
    def rootfs(self, layers: Sequence[str]) -> Iterator[PlainRootfs]:
        self.prepare()
        with (
            lock.held(left_behind.COPIES, wait=True, shared=True),
            engine.runtime().plain_rootfs(self._tenant, layers) as root,
        ):
            yield root

    @contextmanager
    def run(
        self,
        layers: Sequence[str],
        *,
        args: Sequence[str],
        env: Mapping[str, str],
        workdir: str,
        user: str,
        mounts: Sequence[StepMount],
        network: bool,
        log: Callable[[bytes], None],
    ) -> Iterator[StepResult]:
        """Run one step; its changes can be read at `upper` until the block ends."""
        wanted = [mount for mount in mounts if isinstance(mount, CacheMount)]
        self.prepare()
        folder = settings.PATHS.disks / self._build.app.tenant_id / "cache"
        with caches.held(folder, wanted, self._cancelled) as held:
            self._steps += 1
            limits = build_limits()
            row = observations.new_container(
                app=self._build.app,
                release=None,
                build=self._build,
                kind=Container.Kind.BUILD,
                process_type="build",
                index=self._steps,
                memory_limit=limits.memory_bytes,
            )
            spec = container_spec(
                row,
                layers=tuple(layers),
                args=tuple(args),
                env={**operator_env(), **env},
                workdir=workdir,
                user=user,
                limits=limits,
                mounts=(*_tools(), *(_shown(mount, held) for mount in mounts)),
                network=network,
            )
            with commands.finished(row, spec, log=log, cancelled=self._cancelled) as state:
                exit_code = state.exit_code if state.exit_code is not None else 128 + (state.exit_signal or 0)
                upper = engine.runtime().changeset(row.pk)
                yield StepResult(exit_code=exit_code, upper=upper, oom_killed=state.oom_killed)

    @contextmanager
    def fetch(self, url: str, *, max_bytes: int, log: Callable[[bytes], None]) -> Iterator[Path]:
        """By curl in a container like any other step's: what it may reach is decided there, for each redirect
        and each address that a name has at that moment."""
        said: deque[bytes] = deque(maxlen=1)

        def listen(data: bytes) -> None:
            said.extend(data.splitlines())
            log(data)

        step = self.run(
            (tools_layer(engine.store(), "curl"),),
            args=curl_args(url, max_bytes),
            env={},
            workdir=HOME,
            user=f"{USER}:{USER}",
            mounts=(),
            network=True,
            log=listen,
        )
        with step as result:
            self._demand_wanted()
            path = result.upper / _DOWNLOAD[1:]
            if result.exit_code or not path.is_file():
                last = said[0].decode(errors="replace") if said else ""
                raise _not_fetched(url, result.exit_code, last, self.egress)
            if path.stat().st_size > max_bytes:
                raise StepFailed(f"{url[:80]} is larger than {max_bytes:,} bytes", hint="fetch less")
            yield path


def curl_args(url: str, max_bytes: int) -> tuple[str, ...]:
    return (
        *("/usr/bin/curl", "--fail", "--silent", "--show-error", "--globoff"),
        *("--location", "--max-redirs", "10", "--proto", "=http,https"),
        *("--connect-timeout", str(CONNECT_SECONDS), "--max-filesize", str(max_bytes)),
        *("--output", _DOWNLOAD, "--url", url),
    )


def _not_fetched(url: str, exit_code: int, said: str, egress: Egress) -> StepFailed:
    """`said` is curl's last line."""
    answered = _ANSWERED.search(said) if exit_code == _REFUSED_BY_SERVER else None
    if answered is not None:
        hint = _BY_STATUS.get(answered[1], "look at the address in a browser, and try again later")
        return StepFailed(f"{url[:80]} could not be fetched: the server answered {answered[1]}", hint=hint)
    reach = _REACH[egress]
    hint = hints.hint(exit_code, (said,)) if exit_code == _CERTIFICATE_REFUSED else reach
    return StepFailed(f"{url[:80]} could not be fetched: {said.strip() or f'status {exit_code}'}", hint=hint)


def _shown(mount: StepMount, held: caches.Caches) -> Mount:
    if isinstance(mount, CacheMount):
        return BindMount(held[mount.name], mount.target, writable=not mount.read_only)
    return mount


def _tools() -> Iterator[BindMount]:
    """Berth's own uv, and the operator's CA bundle where one is set."""
    uv = shutil.which("uv", path=str(Path(settings.PYTHON).parent))
    if uv:
        yield BindMount(Path(uv), "/usr/local/bin/uv")
    if settings.BUILD_CA_BUNDLE:
        yield BindMount(Path(settings.BUILD_CA_BUNDLE), CA_BUNDLE)


def build_limits() -> Limits:
    """Of one step. A build yields to what serves: its share of processors and disks is half of an app's."""
    memory = settings.BUILD_MEMORY * MIB
    return Limits(memory_bytes=memory, swap_bytes=memory, cpu_millis=settings.BUILD_CPU, weight=50, pids=512)


def operator_env() -> dict[str, str]:
    """What the operator wants each build to see."""
    env = dict(settings.BUILD_ENV)
    if settings.BUILD_CA_BUNDLE:
        env = dict.fromkeys(CA_VARIABLES, CA_BUNDLE) | env
    return env
