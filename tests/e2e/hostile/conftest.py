from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.hostile.tenant import APP, INSIDE, Hostile
from tests.e2e.hostile.watch import AT_REST, LEDGER, REPORTED, Watch
from tests.e2e.platform import Platform, packed

REST_SECONDS = 3.0
NEIGHBOUR = Path(__file__).with_name("neighbour")
Attack = Callable[[str], AbstractContextManager[None]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hostile-seconds", type=float, default=1.0, help="how long each attack goes on (1.0)")


@pytest.fixture(scope="package")
def seconds(pytestconfig: pytest.Config) -> float:
    """How long an attack goes on that has no end of its own; the option is known where this folder is named."""
    return float(pytestconfig.getoption("--hostile-seconds", 1.0))


@pytest.fixture(scope="package")
def mallory(platform: Platform) -> Iterator[Hostile]:
    """The hostile tenant with an app whose image can attack, live."""
    tenant = Hostile.joins(platform)
    tenant.create(APP)
    built = tenant.built(APP, packed(INSIDE))
    assert built.status == "succeeded", built.log
    assert tenant.live(APP)["status"] == "live"
    yield tenant
    tenant.leaves()


@pytest.fixture(scope="package")
def stubborn(mallory: Hostile) -> str:
    """A command that ignores all that it can, and was asked to end long before anybody looks."""
    return mallory.ignores_the_end()


@pytest.fixture(scope="package")
def ledger(platform: Platform) -> Iterator[None]:
    """Of the neighbour's apps the one that writes."""
    platform.create(LEDGER)
    live = platform.deploy(LEDGER, packed(NEIGHBOUR))
    assert live["status"] == "live", live
    yield
    answer = platform.api(f"/apps/demo/{LEDGER}", "DELETE", {"confirm": LEDGER})
    assert answer.status == 202, answer.body


@pytest.fixture(scope="package")
def watch(
    mallory: Hostile, stubborn: str, ledger: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watch]:
    """All are asked from now on, and were for some seconds with nobody attacking."""
    with Watch(tmp_path_factory.mktemp("watch")).asking() as watch:
        with watch.phase(AT_REST) as phase:
            time.sleep(REST_SECONDS)
        watch.rest = watch.row(phase)
        yield watch


@pytest.fixture
def attack(watch: Watch, record_property: Callable[[str, object], None]) -> Attack:
    """What goes on in the block is an attack of that name. Its row goes into the report, and the neighbour and
    the dashboard have answered every request meanwhile."""
    assert watch.rest
    record_property(REPORTED, list(watch.rest))

    @contextmanager
    def attack(name: str) -> Iterator[None]:
        with watch.phase(name) as phase:
            yield
        row = watch.row(phase)
        record_property(REPORTED, list(row))
        assert row.failed == 0, row

    return attack
