"""`berth network`: what a tenant may send, as an administrator says it and everybody reads it."""

from __future__ import annotations

import json

import pytest

from paas.specs import Traffic
from tenants.accounts import observations
from tenants.accounts.models import Tenant
from tenants.fleet.observations import traffic_counted
from tests.cli.berth import Berth
from tests.web.cast import Cast

TRAFFIC = Traffic(sent=(10, 1000), received=(20, 2000), refused=(("policy", 4),))


def test_an_administrator_sets_what_is_named_and_the_rest_stays(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.admin)
    done = berth.run(
        "network", "set", "demo", "policy=list", "allow=192.0.2.0/24:443, 198.51.100.7", "rate=20M"
    )
    assert done.returncode == 0, done.stderr
    assert "192.0.2.0/24:443" in done.stdout and "20 Mbit/s" in done.stdout
    assert "It is being applied. To see what is in force: berth network --machine -t demo" in done.stderr
    tenant = Tenant.objects.get(pk=cast.tenant.pk)
    assert (tenant.egress, tenant.egress_rate) == ("list", 2_500_000)
    assert tenant.egress_list == ["192.0.2.0/24:443", "198.51.100.7/32"]
    observations.egress_applied(tenant, policy="list", rate=2_500_000)
    same = berth.run("network", "set", "demo", "rate=20M")
    assert same.returncode == 0 and "being applied" not in same.stderr, "nothing is to do"
    berth.run("network", "set", "demo", "rate=none")
    tenant.refresh_from_db()
    assert (tenant.egress, tenant.egress_rate, len(tenant.egress_list)) == ("list", 0, 2)
    shown = berth.run("network", "--machine", "-t", "demo").stdout
    assert "only what is listed, 20 Mbit/s; what was set is being applied" in shown
    noted = berth.run("network", "set", "demo", "policy=open", "allow=192.0.2.0/24")
    assert "the list holds with policy=list, and the policy is open" in noted.stderr
    made = json.loads(berth.run("network", "set", "demo", "rate=1.5G", "--json").stdout)
    assert (made["rate"], made["policy"], made["listed"]) == (187_500_000, "open", ["192.0.2.0/24"])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["rate=20"], "Write bits a second"),
        (["rate=1K"], "choose 0.08 to"),
        (["policy=some"], "there is no policy 'some'"),
        (["policy=list"], "nothing is listed"),
        (["policy=list", "allow=shop.example"], "is no IPv4 network"),
        (["allow=192.0.2.0/24", "allow=192.0.2.7"], "allow is given twice"),
        (["listed=192.0.2.7"], "none of policy=…, allow=… and rate=…"),
    ],
)
def test_what_cannot_be_changes_nothing(berth: Berth, cast: Cast, rules: list[str], said: str) -> None:
    berth.sign_in(cast.admin)
    refused = berth.run("network", "set", "demo", *rules)
    assert refused.returncode == 1 and said in refused.stderr, refused.stderr
    assert "Hint: " in refused.stderr or "rate=1K" in rules
    assert Tenant.objects.get(pk=cast.tenant.pk).egress_set_at is None


def test_a_member_reads_it_with_the_time_of_the_counters_and_sets_nothing(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.owner)
    refused = berth.run("network", "set", "demo", "rate=20M")
    assert refused.returncode == 1 and "needs an administrator" in refused.stderr
    assert "not yet" in berth.run("network").stdout
    traffic_counted({cast.tenant.pk: TRAFFIC})
    shown = berth.run("network").stdout
    assert "1,000 bytes in 10 packets" in shown and "4 policy packets" in shown
    (counted,) = (line for line in shown.splitlines() if line.startswith("counted"))
    assert counted.endswith("UTC; more shows within a minute") and "20" in counted
    rate = next(line for line in berth.run("quota").stdout.splitlines() if line.startswith("egress"))
    assert rate.split() == ["egress", "no", "limit", "-", "-"]
