"""The worker's whole engine on the real kernel: runtime and network with folders, cgroups and a network
namespace of their own. The cast's app serves an image of nothing but busybox."""

from __future__ import annotations

import grp
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from paas.linux.cgroups import Cgroup
from paas.linux.namespaces import enter_private_mount_namespace
from paas.paths import Paths
from paas.worker import engine
from tenants.releases.models import Release
from tests.network.conftest import own_network
from tests.runtime.conftest import BASE, _make_base_layer
from tests.web.cast import Cast

CGROUP_ROOT = f"/bw{os.getpid()}"
MIB = 1024 * 1024
PARTS = (engine.store, engine.runtime, engine.network, engine.caddy, engine.table)


@dataclass
class Host:
    cast: Cast
    release: Release  # serves; its web process has 96 MiB

    def is_clean(self) -> bool:
        return engine.runtime().list() == []


@pytest.fixture
def host(cast: Cast, settings: Any) -> Iterator[Host]:
    enter_private_mount_namespace()
    # The runtime acts as the tenant's root, who must be able to pass: pytest's tmp_path is closed to others.
    top = Path(tempfile.mkdtemp(prefix="berth-bw-"))
    top.chmod(0o711)
    settings.PATHS = Paths(state=top / "state", run=top / "run")
    settings.CGROUP_ROOT, settings.BERTH_PREFIX = CGROUP_ROOT, "bw"
    settings.CONTAINER_PREFIX = IPv4Network("10.207.0.0/16")
    settings.UID_BASE = 1_879_048_192 + 200 * 65_536
    settings.GROUP = grp.getgrgid(os.getgid()).gr_name
    _forget_parts()
    _make_base_layer(settings.PATHS.store)
    facts = engine.store().root / "layers-meta" / f"{BASE.removeprefix('sha256:')}.json"
    facts.write_text(json.dumps({"diff_id": BASE, "size": 0, "files": 0}))
    settings.PATHS.routes.mkdir()
    with own_network():
        engine.network().apply_base()
        try:
            yield Host(cast, _serving(cast))
        finally:
            for tenant in (cast.tenant, cast.other):
                engine.runtime().remove_tenant(tenant.pk)
            engine.network().remove_all()
            for name in (f"{CGROUP_ROOT}/_conmon", CGROUP_ROOT):
                Cgroup(name).remove()
            _forget_parts()
            shutil.rmtree(top)


def _forget_parts() -> None:
    for part in PARTS:
        part.cache_clear()


def _serving(cast: Cast) -> Release:
    tenant, release = cast.tenant, cast.app.releases.get()
    tenant.disk_bytes, tenant.memory_bytes = 48 * MIB, 256 * MIB
    tenant.save()
    cast.app.refresh_from_db()
    release.image = {**release.image, "layers": [BASE], "user": "1000:1000", "env": [["GREETING", "hello"]]}
    release.processes = [{**release.processes[0], "memory_bytes": 96 * MIB}]
    release.config = {"COLOUR": "blue"}
    release.save()
    return release
