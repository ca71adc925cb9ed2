"""Languages' images: what is there is not made again, makers wait for each other, and the table is sound.

That apt makes a layer, and what a kill leaves, is tested where there is a base: tests/e2e/test_buildpacks.py.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from paas.errors import BadInput, HostProblem
from paas.images import runtimes
from paas.images.base import SUITES
from paas.images.runtimes import RUNTIMES, Runtime, ensure, known_version, named, version_of
from paas.images.store import Store
from paas.oci.config import ImageConfig
from paas.specs import ImageSpec
from tests.images.test_stopping import Stopped, Stopping


def tagged(store: Store, name: str) -> ImageSpec:
    image = store.put_image(ImageConfig(cmd=(name,)))
    store.tag(name, image.digest)
    return image


def test_two_lines_of_each_language_one_a_debian() -> None:
    for language in {runtime.language for runtime in RUNTIMES}:
        assert sorted(r.suite for r in RUNTIMES if r.language == language) == sorted(SUITES)
    for runtime in RUNTIMES:
        assert ".".join(map(str, runtime.minor)).startswith(runtime.version)
        assert named(f"{runtime.language}:{runtime.version}") == runtime


def test_a_runtime_that_nobody_has() -> None:
    with pytest.raises(BadInput, match=r"no runtime is called 'node:99'; one of python:3.11, .*go:1.24"):
        named("node:99")


@pytest.mark.parametrize(
    ("name", "version", "read"),
    [
        ("node:18", "18.20.4+dfsg-1~deb12u1", (18, 20, 4)),
        ("ruby:3.1", "3.1.7+really3.1.2-0+deb12u1", (3, 1, 2)),
        ("go:1.24", "2:1.24.4-1", (1, 24, 4)),
    ],
)
def test_a_version_in_full_is_what_dpkg_recorded(
    store: Store, tmp_path: Path, name: str, version: str, read: tuple[int, ...]
) -> None:
    runtime = named(name)
    assert known_version(store, runtime) == tuple(map(int, runtime.version.split(".")))
    dpkg = tmp_path / "upper/var/lib/dpkg"
    dpkg.mkdir(parents=True)
    record = "Package: {}\nStatus: install ok installed\nVersion: {}\n"
    others = record.format("nodejs-doc", "9.9.9-1"), record.format("a", "1.1.1-1")
    (dpkg / "status").write_text("\n".join((*others, record.format(runtime.versioned_by, version))))
    layer = store.commit_changeset(tmp_path / "upper").diff_id
    image = store.put_image(ImageConfig(diff_ids=(layer,)))
    store.tag(runtime.image, image.digest)
    assert known_version(store, runtime) == read


def test_an_image_without_a_record_of_its_version(store: Store) -> None:
    image = tagged(store, "berth/node:18")
    with pytest.raises(
        HostProblem, match="does not say which version of nodejs it has; `sudo bin/up --rebuild"
    ):
        version_of(store, named("node:18"), image)


def test_names() -> None:
    php = named("php:8.2")
    assert (php.base, php.image, php.build_image) == ("debian:12", "berth/php:8.2", "berth/php:8.2-build")
    assert named("go:1.19").build_image == "berth/go:1.19"
    assert named("python:3.13").image == "debian:13"


def test_an_image_that_is_there_is_not_made_again(store: Store) -> None:
    image = tagged(store, "berth/node:20")
    assert ensure(store, named("node:20"), build=True, log=pytest.fail) == image


def test_who_comes_meanwhile_waits_for_the_maker(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tagged(store, "debian:12")
    began, go_on = threading.Event(), threading.Event()
    made: list[str] = []
    said: list[str] = []

    def make(store: Store, name: str, *args: object, **named: object) -> ImageSpec:
        made.append(name)
        began.set()
        assert go_on.wait(20)
        return tagged(store, name)

    monkeypatch.setattr(runtimes, "_make", make)
    found: list[ImageSpec] = []

    def ask() -> None:
        found.append(ensure(store, named("node:18"), log=said.append))

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    assert began.wait(20)
    second.start()
    while "berth/node:18 is being made: waiting for it" not in said:
        assert second.is_alive()
    go_on.set()
    first.join()
    second.join()
    assert made == ["berth/node:18"]
    assert found[0] == found[1]


def test_who_waits_for_the_maker_may_give_up(store: Store) -> None:
    said: list[str] = []
    with (
        runtimes._one_maker(store, "berth/node:18", pytest.fail, pytest.fail),
        pytest.raises(Stopped),
    ):
        ensure(store, named("node:18"), log=said.append, look=Stopping(at=3))
    assert said == ["berth/node:18 is being made: waiting for it"]


def test_a_suite_that_berth_does_not_know(store: Store) -> None:
    with pytest.raises(
        BadInput, match="knows no Debian 'sid'; set BERTH_BASE_SUITE to one of bookworm, trixie"
    ):
        runtimes.ensure_base(store, "sid", log=pytest.fail)


def test_a_language_in_the_base_is_the_base() -> None:
    assert Runtime("python", "3.11", (3, 11), "bookworm").build_image == "debian:12"
