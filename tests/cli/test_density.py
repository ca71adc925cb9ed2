"""`berth density`: the ledger, for administrators."""

from __future__ import annotations

import json
from dataclasses import replace

from paas.specs import MIB, Reading
from tenants.containers.models import Container
from tenants.fleet import readings
from tenants.fleet.models import Machine, Peak
from tenants.fleet.readings import Taken
from tests.cli.berth import Berth
from tests.web.cast import Cast

GIB = 1024 * MIB
FIRST = Reading(MIB, MIB, 0, 0, 0, 0, 1, 0, 0, 0, (0, None, None))
LATER = replace(FIRST, io_bytes=20 * 1024, stalled_usec=(2_500_000, None, None))


def test_the_ledger_in_a_terminal(berth: Berth, cast: Cast) -> None:
    disk = 20 * GIB
    Machine.objects.create(cores=2, memory_bytes=4096 * MIB, memory_available_bytes=3072 * MIB, disk_bytes=disk)
    row = Container.objects.create(
        tenant=cast.tenant,
        app=cast.app,
        kind="process",
        process_type="web",
        status="sleeping",
        cpu_millis=250,
        memory_limit=256 * MIB,
        memory_bytes=40 * MIB,
    )
    berth.sign_in(cast.admin)
    done = berth.run("density", "--by", "process", "--size", "100", "--asleep", "0", "--machine", "256")
    assert done.stdout.splitlines()[1].split()[:4] == ["demo/shop", "web", "1", "1"], done.stderr
    assert "28 more apps of 100 MiB fit, if 0% of them sleep" in done.stderr
    promised = cast.tenant.disk_bytes + cast.other.disk_bytes
    grown = f"may grow to {promised / GIB:.0f} GiB of the machine's 20 GiB ({promised / disk:.2f} times)"
    assert grown in " ".join(done.stderr.split())
    assert json.loads(berth.run("density", "--json").stdout)["rows"][0]["tenant"] == "demo"
    assert "As virtual machines of 256 MiB those that run would take 416 MiB" in done.stderr
    readings.keep([Taken(row, LATER, FIRST, 10.0)])
    loaded = berth.run("density", "--by", "process", "--load").stdout.splitlines()[1]
    assert loaded.split() == ["demo/shop", "web", "1", "1", "0.25", "2", "KiB/s", "25%", "cpu"]
    assert berth.run("density", "--by", "colour").returncode == 1
    berth.sign_in(cast.owner)
    assert "needs an administrator" in berth.run("density").stderr


def test_a_better_limit_is_applied_and_undone(berth: Berth, cast: Cast) -> None:
    Peak.objects.create(app=cast.app, process_type="web", days={"2026-11-27": 60 * MIB})
    shop = ("--app", "demo/shop")
    berth.sign_in(cast.developer)
    shown = " ".join(berth.run("limits", *shop).stdout.split())
    assert shown.endswith("web 256 MiB 256 MiB 60 MiB 80 MiB")
    done = berth.run("limits", "apply", "web", *shop)
    assert done.stdout.strip() == "web may have 80 MiB instead of 256 MiB. Nothing is restarted.", done.stderr
    Container.objects.create(
        tenant=cast.tenant,
        app=cast.app,
        release=cast.app.releases.get(),
        kind="process",
        process_type="web",
        status="running",
        memory_limit=80 * MIB,
    )
    assert "80 MiB (was 256 MiB)" in berth.run("ps", *shop).stdout
    assert "about right" in berth.run("limits", "apply", "web", *shop).stderr
    berth.sign_in(cast.admin)
    done = berth.run("limits", "undo", "web", "--machine", *shop)
    assert done.stdout.strip() == "web may have 256 MiB. Nothing is restarted.", done.stderr
