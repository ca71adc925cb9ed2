"""Swap for tests that put real memory to sleep."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paas.host import swap
from paas.host.installation import Installation
from paas.paths import Paths


@pytest.fixture(scope="module")
def swapping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Swap of our own, whether the machine has some or not."""
    folder = tmp_path_factory.mktemp("swap")
    here = Installation(folder, Paths(state=folder / "state", run=folder / "run"))
    here.paths.state.mkdir()
    swap.ensure(here, "128M", lambda line: None)
    yield
    swap.remove(here)
