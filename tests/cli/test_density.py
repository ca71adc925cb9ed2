"""`berth density`: the ledger, for administrators."""

from __future__ import annotations

import json

from paas.specs import MIB
from tenants.containers.models import Container
from tenants.fleet.models import Machine
from tests.cli.berth import Berth
from tests.web.cast import Cast


def test_the_ledger_in_a_terminal(berth: Berth, cast: Cast) -> None:
    Machine.objects.create(cores=2, memory_bytes=4096 * MIB, memory_available_bytes=3072 * MIB)
    Container.objects.create(
        tenant=cast.tenant,
        app=cast.app,
        kind="process",
        process_type="web",
        status="sleeping",
        memory_limit=256 * MIB,
        memory_bytes=40 * MIB,
    )
    berth.sign_in(cast.admin)
    done = berth.run("density", "--by", "process", "--size", "100", "--asleep", "0")
    assert done.stdout.splitlines()[1].split()[:4] == ["demo/shop", "web", "1", "1"], done.stderr
    assert "28 more apps of 100 MiB fit, if 0% of them sleep" in done.stderr
    assert json.loads(berth.run("density", "--json").stdout)["rows"][0]["tenant"] == "demo"
    assert berth.run("density", "--by", "colour").returncode == 1
    berth.sign_in(cast.owner)
    assert "needs an administrator" in berth.run("density").stderr
