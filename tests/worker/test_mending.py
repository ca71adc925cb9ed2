"""A damaged layer that Berth built has no second copy: it is built again from its source."""

from __future__ import annotations

import pytest
from django.conf import settings

from paas.worker import builds, engine, upkeep
from tenants.releases.models import Build, Source
from tenants.store.actions import ask
from tests.web.cast import go_live
from tests.worker.test_builds import queued
from tests.worker.workbench import Workbench

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_serves_a_damaged_layer_is_built_again(bench: Workbench, is_kept: bool) -> None:
    cast = bench.host.cast
    Build.objects.all().delete()
    build = queued(cast.app, cast.owner)  # on no base: that of these tests is none that has its digest
    builds.run_next()
    release = build.releases.get()
    go_live(release)
    layer = release.image["layers"][-1]
    (engine.store().layer_path(layer) / "file").write_text("rotten")
    if not is_kept:
        (settings.PATHS.sources / Source.objects.get(pk=build.source_id).pk).unlink()
    asked = ask(actor=cast.admin, kind="mend")
    upkeep.settle(asked.pk)
    asked.refresh_from_db()
    assert layer in [damage["id"] for damage in asked.report["damage"]] and not engine.store().has_layer(layer)
    assert asked.report["building"] == ([f"demo/shop v{release.version}"] if is_kept else [])
    builds.run_next()
    assert engine.store().has_layer(layer) == is_kept
    if is_kept:
        again = cast.app.releases.latest("version")
        assert again.version == release.version + 1 and again.image == release.image
        assert engine.store().fsck(mend=False) == ()
