"""A name in a Dockerfile: this machine's own image first, then a registry, asked once."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.builder.names import Names
from paas.errors import BadInput, NotFound
from paas.images import Store
from paas.oci.config import ImageConfig

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_image_of_this_machine_is_never_asked_for_elsewhere(store: Store) -> None:
    ours = store.put_image(ImageConfig()).digest
    store.tag("debian:12", ours)
    names = Names(store, lambda name: pytest.fail(f"asked for {name}"))
    assert names.digest("debian:12") == names.digest("docker.io/library/debian:12") == ours
    with pytest.raises(NotFound, match="no base image is called 'redis:7'"):
        names.digest("redis:7")


def test_a_registry_is_asked_once(store: Store) -> None:
    asked: list[str] = []

    def pull(name: str) -> str:
        asked.append(name)
        return DIGEST

    names = Names(store, pull)
    for name in ("registry.example/shop:v1", f"registry.example/shop@{DIGEST}", "docker.io/library/redis:7"):
        assert names.digest(name) == names.digest(name) == DIGEST
    assert len(asked) == 3


def test_without_a_way_to_pull_only_what_is_here_is_found(store: Store) -> None:
    with pytest.raises(NotFound):
        Names(store).digest("registry.example/shop:v1")
    with pytest.raises(BadInput):
        Names(store).digest(f"registry.example/shop@{DIGEST}")
