"""What an export says of where an image comes from, from the build on."""

from __future__ import annotations

import pytest
from django.conf import settings as conf

from paas.oci.digest import hex_of
from paas.worker import builds, engine
from paas.worker.provenance import said_of
from tests.runtime.conftest import BASE
from tests.worker.test_builds import queued
from tests.worker.workbench import Workbench

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
DOCKERFILE = "FROM debian:12 AS first\nFROM scratch\nCOPY --from=tools:1 /bin /bin\nCOPY --from=first /bin /x\n"


def test_it_names_images_of_other_stages_and_of_copies(bench: Workbench) -> None:
    tools = bench.tag("tools:1", conf.PATHS.store / "layers" / hex_of(BASE))
    build = queued(bench.host.cast.app, bench.host.cast.owner, DOCKERFILE + 'CMD ["x"]\n')
    builds.run_next()
    build.refresh_from_db()
    release = build.releases.get()
    provenance, _ = said_of(release)
    assert provenance.body["buildDefinition"]["resolvedDependencies"] == [
        {"name": name, "digest": {"sha256": hex_of(digest)}}
        for name, digest in (
            ("source", build.source.digest),
            ("debian:12", engine.store().resolve("debian:12")),
            ("tools:1", tools.digest),
        )
    ]
    bases = {name: {"sha256": hex_of(engine.store().resolve(name))} for name in ("debian:12", "tools:1")}
    assert provenance.body["buildDefinition"]["externalParameters"]["stages"] == [
        {"name": "first", "base": {"name": "debian:12", "digest": bases["debian:12"]}, "steps": []},
        {"name": "tools:1", "base": {"name": "tools:1", "digest": bases["tools:1"]}, "steps": []},
        {
            "name": "1",
            "base": {"name": "scratch"},
            "steps": ["COPY --from=tools:1 /bin /bin", "COPY --from=first /bin /x", 'CMD ["x"]'],
        },
    ]
