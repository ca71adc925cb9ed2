"""`berth store`, with who plays the worker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections

from tenants.store import observations
from tenants.store.models import Size, Upkeep, Use
from tests.cli.berth import Berth
from tests.web.cast import Cast, released

FREED = {
    "bytes": 3 << 20, "layers": 2, "layer_bytes": 2 << 20, "blobs": 4, "blob_bytes": 1 << 20, "steps": 5,
    "abandoned": 0, "abandoned_bytes": 0,
}  # fmt: skip
AT = datetime(2026, 11, 27, 21, 33, 4, tzinfo=UTC)
DAMAGE = {
    "kind": "layer",
    "id": "sha256:" + "a" * 64,
    "what": "it rotted",
    "outcome": "",
    "releases": ["demo/shop v1"],
}


@contextmanager
def worker(*reports: dict[str, Any]) -> Iterator[list[str]]:
    """Ends what is asked for with these reports, in this order; gives the kinds that were asked for."""
    asked: list[str] = []

    def work() -> None:
        for report in reports:
            while (row := Upkeep.objects.filter(status="queued").first()) is None:
                time.sleep(0.02)
            asked.append(row.kind)
            observations.done(row, report)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield asked
    thread.join(20)
    assert not thread.is_alive()


def store_of(cast: Cast, **sizes: int) -> None:
    """As the worker saw it at AT."""
    Size.objects.create(
        layers=3, layer_bytes=5 << 20, blobs=2, blob_bytes=(1 << 20) - 1024, seen_at=AT, **sizes
    )
    Use.objects.create(kind="tenant", owner_id=cast.tenant.pk, bytes=4 << 20, unique_bytes=2 << 20)


def test_show(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.admin)
    assert "Nothing has been measured yet" in berth.run("store", "show").stderr
    store_of(cast, unshared_bytes=50 << 20)
    done = berth.run("store", "show")
    assert "As of 2026-11-27 21:33:04 UTC" in done.stderr
    shown = done.stdout
    assert "3 layers, 5 MiB (50 MiB if nothing were shared); 2 blobs, 1023 KiB" in shown
    assert shown.splitlines()[-1].split() == ["demo", "4", "MiB", *["2", "MiB"] * 2]


def test_an_app_and_its_releases(berth: Berth, cast: Cast) -> None:
    Use.objects.create(kind="app", owner_id=cast.app.pk, bytes=9 << 20, unique_bytes=2 << 20)
    release = cast.app.releases.get()
    Use.objects.create(kind="release", owner_id=release.pk, bytes=5 << 20, unique_bytes=1 << 20)
    released(cast.app, cast.developer)
    store_of(cast)
    berth.sign_in(cast.viewer)
    done = berth.run("store", "app", "--app", "demo/shop")
    assert "As of 2026-11-27 21:33:04 UTC" in done.stderr
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "OWNER IMAGES SHARED NOBODY ELSE HAS",
        "demo/shop 9 MiB 7 MiB 2 MiB",
        "v2 not measured yet",
        "v1 5 MiB 4 MiB 1 MiB",
    ]
    as_json = json.loads(berth.run("store", "app", "--app", "demo/shop", "--json").stdout)
    assert as_json["seen_at"] == "2026-11-27T21:33:04Z"
    assert as_json["releases"] == [
        {"name": "v2", "bytes": None, "unique_bytes": None},
        {"name": "v1", "bytes": 5 << 20, "unique_bytes": 1 << 20},
    ]
    Use.objects.all().delete()
    assert "demo/shop  not measured yet" in berth.run("store", "app", "--app", "demo/shop").stdout


def test_only_administrators(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.owner)
    for words in (("show",), ("prune", "--yes"), ("check",)):
        refused = berth.run("store", *words)
        assert refused.returncode == 1 and "needs an administrator" in refused.stderr
    assert not Upkeep.objects.exists()


def test_prune_says_first_what_it_would_free(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.admin)
    with worker(FREED, FREED) as asked:
        done = berth.run("store", "prune", "--yes")
    assert asked == ["look", "prune"]
    assert "within the last two hours is spared" in done.stderr
    assert "A prune would free 3 MiB: 2 layers (2 MiB)" in done.stderr and done.stdout.startswith("Freed 3 MiB")
    with worker(FREED) as asked:
        told = berth.run("store", "prune", stdin="n\n")
    assert asked == ["look"] and told.returncode == 1 and "nothing was pruned" in told.stderr
    with worker(FREED) as asked:
        assert berth.run("store", "prune", "--dry-run").returncode == 0
    assert asked == ["look"]


@pytest.mark.parametrize(
    ("outcome", "said", "error"),
    [
        ("", "not mended", "1 damaged"),
        ("rebuilt", "mended, from a copy here", ""),
        ("removed", "lost: taken out of use", "1 of 1 could not be mended: taken out of use"),
    ],
)
def test_check(berth: Berth, cast: Cast, outcome: str, said: str, error: str) -> None:
    berth.sign_in(cast.admin)
    damage = {**DAMAGE, "outcome": outcome, "releases": ["demo/shop v1", "demo/shop v2"]}
    with worker({"damage": [damage], "building": ["demo/shop v2"]}) as asked:
        done = berth.run("store", "check", *(["--mend"] if outcome else []))
    assert asked == ["mend" if outcome else "check"]
    assert done.returncode == (1 if error else 0) and error in done.stderr
    assert "it rotted" in done.stdout and said in done.stdout and "demo/shop v1" in done.stdout
    built = "Being built again from their sources: demo/shop v2. "
    again = "Deploy again, or it may not start again: demo/shop v1."
    assert (built + again in " ".join(done.stderr.split())) == (outcome == "removed")


def test_a_clean_store_is_said_to_be_clean(berth: Berth, cast: Cast) -> None:
    store_of(cast)
    berth.sign_in(cast.admin)
    with worker({"damage": [], "building": []}):
        done = berth.run("store", "check")
    assert (done.returncode, done.stdout) == (0, "No damage: 3 layers and 2 blobs read.\n"), done.stderr
