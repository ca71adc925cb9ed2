"""The isolation report on the real engine: a look at a tenant and at the machine, and what makes it fail."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.conf import settings

from paas.isolation import control_plane, judge, standing
from paas.isolation.rows import Row
from paas.specs import ProcessSpec
from paas.worker import engine, fences, isolation, sweep
from paas.worker.roll_out import start_process
from paas.worker.translate import uid_base
from tenants.containers.models import Container
from tenants.isolation import actions, observations, selectors
from tenants.isolation.models import Report
from tests.isolation.planes import plane
from tests.worker.host import Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]


def running(host: Host, index: int = 1) -> Container:
    process = ProcessSpec(name="web", args=("/bin/sh", "-c", "sleep 60"), memory_bytes=64 << 20)
    return start_process(host.cast.app, host.release, process, index)


def look(host: Host) -> Report:
    report = actions.look_at(actor=host.cast.viewer, tenant=host.cast.tenant)
    isolation.settle(report.pk)
    report.refresh_from_db()
    assert report.status == "done", report.error
    return report


def broken(report: Report) -> dict[str, str]:
    containers = (report.answer or {})["containers"]
    return {r["id"]: r["found"] for it in containers for r in it["rows"] if r["outcome"] == "fail"}


def test_a_tenants_report(host: Host) -> None:
    row = running(host)
    report = look(host)
    answer: dict[str, Any] = report.answer or {}
    assert (report.failed, broken(report)) == (0, {})
    (listed,) = answer["containers"]
    assert (listed["id"], listed["app"], listed["name"], listed["failed"]) == (row.pk, "shop", "web.1", 0)
    network = next(it for it in listed["rows"] if it["id"] == "network")
    assert network["found"] == "eth0 with 10.207.0.16 and nothing else"
    assert {it["id"] for it in answer["promises"]} == {r["id"] for r in (*listed["rows"], *answer["tenant"])}
    assert all(counts["pass"] + counts["n/a"] == 1 for counts in answer["summary"].values())
    assert report.passed + report.unavailable == len(listed["rows"]) + len(answer["tenant"])


def test_a_regress_is_told_everywhere(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container has got a second address: its page, the log and bin/up say so. Rules that are gone are made
    again, and the machine's report says that they were gone."""
    row = running(host)
    pid = engine.runtime().state(row.pk).pid
    inside = ["nsenter", f"--target={pid}", "--net", "--", "ip", "address", "add", "10.1.2.3/32", "dev", "eth0"]
    subprocess.run(inside, check=True)
    subprocess.run(["nft", "flush chain inet bwberth forward"], check=True)
    subprocess.run(["nft", "flush set inet bwberth bindings"], check=True)
    monkeypatch.setattr(control_plane, "look", lambda paths, account, port, rules: plane(rules=rules))
    with structlog.testing.capture_logs() as logs:
        isolation.settle(actions.look_by_itself().pk)
    report = selectors.of_tenant(host.cast.tenant)
    assert broken(report) == {"network": "addresses 10.1.2.3, 10.207.0.16, not 10.207.0.16"}
    said = [entry for entry in logs if entry["event"] in ("isolation.broken", "network.mended")]
    assert {entry["log_level"] for entry in said} == {"error"}
    assert {(entry.get("of"), entry.get("promise")) for entry in said} == {
        ("demo", "network"), ("control plane", "fences"), (None, None),
    }  # fmt: skip
    machine = selectors.of_machine()
    assert (machine.status, machine.failed, selectors.broken()) == ("done", 1, 2)
    found = {row["id"]: row["found"] for row in (machine.answer or {})["rows"]}
    gone = "the nftables table bwberth lacks rules: chain forward"
    assert found["fences"] == f"{gone}; Berth has just made them again"
    told = standing.read(settings.PATHS.state)
    assert told is not None and told.broken == 2
    subprocess.run([*inside[:-4], "del", *inside[-3:]], check=True)
    assert (look(host).failed, selectors.broken()) == (0, 1)


@pytest.mark.parametrize("taken", ["delete table {}", "flush chain {} egress", "flush map {} policies"])
def test_rules_that_somebody_took_away_are_there_again_without_a_report(host: Host, taken: str) -> None:
    running(host)
    tenant = uid_base(host.cast.tenant)
    duties = fences.keep, fences.AfterChange(fences.mend), fences.AfterChange(fences.look)
    for duty in duties:
        duty()
    subprocess.run(["nft", taken.format("inet bwberth")], check=True)
    for duty in duties:
        duty()
    assert engine.network().mend() == ""
    assert engine.network().held()[tenant].egress == "open"


def test_rules_that_nobody_has_changed_are_not_looked_at_again(host: Host) -> None:
    running(host)
    looks = list[int]()
    look = fences.AfterChange(lambda: looks.append(1))
    for expected in (1, 1):
        look()
        assert len(looks) == expected
    fences.sync(host.cast.tenant)  # as it was
    look()
    assert len(looks) == 1
    subprocess.run(["nft", "add table inet bwelse"], check=True)
    subprocess.run(["nft", "delete table inet bwelse"], check=True)
    look()
    assert len(looks) == 2


def test_what_no_rule_tells_of_is_looked_at_all_the_same(host: Host) -> None:
    looks = list[int]()
    look = fences.AfterChange(lambda: looks.append(1), rest=0.0)
    look()
    look()
    assert len(looks) == 2


def test_the_host_forwards_again_and_the_prefix_leads_nowhere_else(host: Host) -> None:
    running(host)
    forwarding, prefix = Path("/proc/sys/net/ipv4/ip_forward"), str(engine.network().container_prefix)
    forwarding.write_text("0")
    subprocess.run(["ip", "route", "del", "blackhole", prefix], check=True)
    fences.hold_host()
    assert forwarding.read_text().strip() == "1"
    assert prefix in subprocess.check_output(["ip", "route", "show", "type", "blackhole"], text=True)


def test_what_is_weaker_for_a_moment_only_is_looked_at_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(host)
    real, looks = judge.judge, list[int]()

    def first_wrong(*args: Any) -> Any:
        looks.append(1)
        rows = real(*args)
        return (Row("init", "fail", "not yet"), *rows) if len(looks) == 1 else rows

    monkeypatch.setattr(judge, "judge", first_wrong)
    assert look(host).failed == 0
    assert len(looks) == 2


def test_only_so_many_are_listed_and_broken_ones_first(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "MOST_LISTED", 1)
    running(host)
    second = running(host, 2)
    pid = engine.runtime().state(second.pk).pid
    pair = ["ip", "link", "add", "odd0", "type", "veth", "peer", "name", "odd1"]
    subprocess.run(["nsenter", f"--target={pid}", "--net", "--", *pair], check=True)
    report = look(host)
    answer = report.answer or {}
    assert [it["name"] for it in answer["containers"]] == ["web.2"]
    assert (answer["count"], answer["more"]) == (2, 1)
    assert broken(report) == {"network": "interfaces eth0, lo, odd0, odd1"}
    assert answer["summary"]["network"] == {"pass": 1, "fail": 1, "n/a": 0}


def test_a_tenant_of_which_nothing_runs(host: Host) -> None:
    report = look(host)
    answer = report.answer or {}
    assert (answer["count"], answer["containers"], report.failed) == (0, [], 0)
    assert {row["outcome"] for row in answer["tenant"]} == {"n/a"}


def test_one_look_at_a_time_and_none_is_lost(host: Host) -> None:
    report = actions.look_at(actor=host.cast.viewer, tenant=host.cast.tenant)
    assert isolation.requeue_interrupted() == [report.pk]
    assert observations.claim(report.pk) is not None
    again = actions.look_at(actor=host.cast.owner, tenant=host.cast.tenant)
    assert (again.status, again.asked_by) == ("running", host.cast.viewer)
    isolation.settle(report.pk)  # claimed by somebody who has died since
    assert isolation.requeue_interrupted() == [report.pk]
    sweep.sweep()
    isolation.settle(report.pk)
    report.refresh_from_db()
    assert report.status == "done"


def test_a_look_that_fails_keeps_what_was_found(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = look(host)
    report = actions.look_at(actor=host.cast.viewer, tenant=host.cast.tenant)

    def fails(*args: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(isolation, "_tenant", fails)
    with pytest.raises(RuntimeError):
        isolation.settle(report.pk)
    report.refresh_from_db()
    assert report.status == "failed" and report.error
    assert (report.answer, report.checked_at) == (before.answer, before.checked_at)
    assert "worker's log" in json.dumps(report.error)
