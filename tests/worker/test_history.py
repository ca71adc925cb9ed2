"""What is kept of the past, and what makes room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from paas.errors import Conflict
from paas.logs import older
from paas.worker import history
from tenants.apps.models import App
from tenants.containers import observations as containers
from tenants.containers.models import Container
from tenants.releases import actions, observations
from tenants.releases.actions import MOST_WAITING, start_build, upload_source
from tenants.releases.models import Build
from tests.web.cast import GZIP, Cast, released, report


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def ended_container(cast: Cast) -> Path:
    row = containers.new_container(
        app=cast.app, release=None, build=None, kind=Container.Kind.PROCESS, process_type="web", index=1,
        memory_limit=1,
    )  # fmt: skip
    containers.stopped(row, exit_code=1, exit_signal=None, oom_killed=False, reason="")
    containers.released(row)
    path = settings.PATHS.container_log(row.pk)
    written(older(path))
    return written(path)


def ended_build(cast: Cast) -> tuple[Path, Path]:
    source = upload_source(actor=cast.owner, app=cast.app, kind="tar.gz", name="", chunks=[GZIP])
    build = start_build(actor=cast.owner, app=cast.app, source=source)
    Build.objects.filter(pk=build.pk).update(status=Build.Status.FAILED)
    return settings.PATHS.sources / source.pk, written(settings.PATHS.build_log(build.pk))


def there(paths: list[Path]) -> list[bool]:
    return [path.exists() for path in paths]


def kept(count: int, of: int) -> list[bool]:
    return [False] * (of - count) + [True] * count


def test_the_newest_logs_of_containers_that_ended(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LOGS", 2)
    logs = [ended_container(cast) for _ in range(5)]
    history.forget_logs(cast.app)
    assert there(logs) == there([older(path) for path in logs]) == kept(2, of=5)
    history.forget_logs(cast.app)
    assert there(logs) == kept(2, of=5)


def test_the_newest_sources_and_logs_of_builds_that_ended(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BUILDS", 4)
    sources, logs = map(list, zip(*(ended_build(cast) for _ in range(6)), strict=True))
    history.forget_builds(cast.app)
    assert there(sources) == kept(history.SOURCES, of=6)
    assert there(logs) == kept(4, of=6)


def test_the_builds_of_releases_that_may_run_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(history, "BUILDS", 1)
    settings.KEPT_IMAGES = 2
    images = (replace(report().image, digest=f"sha256:{n:064}") for n in range(3))
    made = [released(cast.app, cast.owner, replace(report(), image=image)) for image in images]
    logs = [written(settings.PATHS.build_log(str(row.build_id))) for row in made]
    observations.release_live(actions.restart(actor=cast.owner, app=cast.app))
    for _ in range(3):
        ended_build(cast)
    history.forget_builds(App.objects.get(pk=cast.app.pk))
    for row in made:
        row.refresh_from_db()
    assert [row.build is not None for row in made] == there(logs) == kept(2, of=3)


def test_a_source_that_is_still_to_be_built_stays(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SOURCES", 0)
    source, _ = ended_build(cast)
    again = cast.app.sources.get(pk=source.name)
    start_build(actor=cast.owner, app=cast.app, source=again)
    history.forget_builds(cast.app)
    assert source.exists()


def test_builds_do_not_queue_up_without_end(cast: Cast) -> None:
    def upload() -> None:
        source = upload_source(actor=cast.owner, app=cast.app, kind="tar.gz", name="", chunks=[GZIP])
        start_build(actor=cast.owner, app=cast.app, source=source)

    _until_refused(upload)
    assert cast.app.builds.filter(status=Build.Status.QUEUED).count() == MOST_WAITING
    assert cast.app.sources.count() == len(list(cast.app.builds.all()))


def _until_refused(action: Callable[[], None]) -> None:
    with pytest.raises(Conflict, match="builds of demo/shop are waiting"):
        for _ in range(MOST_WAITING + 1):
            action()
