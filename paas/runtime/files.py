"""The files that Berth writes for a container, and host paths as the container may see them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from paas.runtime.space import Space
from paas.specs import BindMount, ContainerSpec

Hosts = tuple[tuple[str, str], ...]  # (address, name)


def write(spec: ContainerSpec, bundle: Path) -> list[BindMount]:
    """resolv.conf, hosts and hostname, to be shown read-only in /etc."""
    hosts = spec.hosts or (("127.0.0.1", "localhost"), (str(spec.address), spec.hostname))
    texts = {
        "resolv.conf": spec.resolver,
        "hosts": _hosts_text(hosts),
        "hostname": f"{spec.hostname}\n",
    }
    binds = []
    for name, text in texts.items():
        file = bundle / name
        file.write_text(text)
        file.chmod(0o644)
        binds.append(BindMount(file, f"/etc/{name}"))
    return binds


def rewrite_hosts(bundle: Path, hosts: Hosts) -> bool:
    """In place, because it is this very file that the container has mounted; False if it said so already.

    It never gets shorter: who reads at this moment must not find half a line at the end.
    """
    text = _hosts_text(hosts)
    with (bundle / "hosts").open("r+b", buffering=0) as file:
        before = file.read()
        if before.rstrip(b"\n") == text.encode().rstrip(b"\n"):
            return False
        os.pwrite(file.fileno(), text.encode().ljust(len(before), b"\n"), 0)
    return True


def _hosts_text(hosts: Hosts) -> str:
    return "".join(f"{address}\t{name}\n" for address, name in hosts)


def through_view(space: Space, bind: BindMount) -> BindMount:
    """A bind of something on the tenant's disk goes through the view, where the tenant owns it."""
    if not bind.source.is_relative_to(space.disk):
        if bind.writable:
            raise ValueError(f"{bind.source} is not on the tenant's disk: it may only be shown read-only")
        return bind
    return replace(bind, source=space.disk_view / bind.source.relative_to(space.disk))


def write_private(file: Path, config: dict[str, Any]) -> None:
    """Config vars are in it: for root's eyes."""
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as stream:
        stream.write(json.dumps(config))  # json.dump would encode it in Python, piece by piece
