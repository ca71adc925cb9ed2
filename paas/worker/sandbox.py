"""Where the builder's steps run: inside the tenant's fences, under the same contract as the app itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from django.conf import settings

from paas.builder import StepResult
from paas.runtime import PlainRootfs
from paas.specs import MIB, BindMount, Limits
from paas.worker import commands, engine
from paas.worker.translate import container_spec, tenant_spec
from tenants.containers import observations
from tenants.containers.models import Container
from tenants.releases.models import Build

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Variables with which the usual clients are pointed at the operator's CA bundle.
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE")


class BuildSandbox:
    """The builder's `Sandbox`, for one build."""

    def __init__(self, build: Build, *, cancelled: Callable[[], bool]) -> None:
        self._build, self._cancelled = build, cancelled
        self._tenant = tenant_spec(build.app.tenant)
        self._steps = 0
        engine.runtime().prepare_tenant(self._tenant)

    @contextmanager
    def rootfs(self, layers: Sequence[str]) -> Iterator[PlainRootfs]:
        with engine.runtime().plain_rootfs(self._tenant, layers) as root:
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
        caches: Mapping[str, str],
        log: Callable[[bytes], None],
    ) -> Iterator[StepResult]:
        """Run one step; its changes can be read at `upper` until the block ends."""
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
            mounts=(*self._tools(), *self._caches(caches)),
        )
        with commands.finished(row, spec, log=log, cancelled=self._cancelled) as state:
            exit_code = state.exit_code if state.exit_code is not None else 128 + (state.exit_signal or 0)
            yield StepResult(
                exit_code=exit_code, upper=engine.runtime().changeset(row.pk), oom_killed=state.oom_killed
            )

    def _tools(self) -> tuple[BindMount, ...]:
        """Berth's own uv, and the operator's CA bundle where one is set."""
        uv = shutil.which("uv", path=str(Path(settings.PYTHON).parent))
        mounts = [BindMount(Path(uv), "/usr/local/bin/uv")] if uv else []
        if settings.BUILD_CA_BUNDLE:
            mounts.append(BindMount(Path(settings.BUILD_CA_BUNDLE), CA_BUNDLE))
        return tuple(mounts)

    def _caches(self, caches: Mapping[str, str]) -> tuple[BindMount, ...]:
        """Cache folders live on the tenant's own disk: no other tenant reads or poisons them."""
        return tuple(BindMount(self._cache(name), path, writable=True) for path, name in caches.items())

    def _cache(self, name: str) -> Path:
        """A Dockerfile may name a cache as it likes: the folder's name is a digest of that."""
        folder = settings.PATHS.disks / self._tenant.id / "cache" / sha256(name.encode()).hexdigest()[:32]
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)  # whichever user of the tenant's a step runs as
        return folder


def build_limits() -> Limits:
    """Of one step. A build yields to what serves: its share of the cpu is half of an app's."""
    memory = settings.BUILD_MEMORY * MIB
    return Limits(
        memory_bytes=memory, swap_bytes=memory, cpu_millis=settings.BUILD_CPU, cpu_weight=50, pids=512
    )


def operator_env() -> dict[str, str]:
    """What the operator wants each build to see."""
    env = dict(settings.BUILD_ENV)
    if settings.BUILD_CA_BUNDLE:
        env = dict.fromkeys(CA_VARIABLES, CA_BUNDLE) | env
    return env
