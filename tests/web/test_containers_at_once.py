"""How many containers a tenant may have at once: told when something is asked for, and held when it starts."""

from __future__ import annotations

from typing import Any

import pytest

from paas.errors import Refused
from paas.specs import ProcessSpec
from paas.worker import roll_out, runs
from tenants.accounts.models import Tenant
from tenants.apps.actions import create_app
from tenants.containers.models import Container
from tenants.containers.observations import new_container
from tenants.releases.actions import scale
from tests.web.cast import Cast, make_run, released, report
from tests.web.pages import Browser

KINDS = Container.Kind


@pytest.fixture
def three(cast: Cast) -> Cast:
    Tenant.objects.update(containers_at_once=3)
    cast.app.refresh_from_db()
    return cast


def start(cast: Cast, kind: Container.Kind = KINDS.PROCESS, **changes: Any) -> Container:
    parts: dict[str, Any] = {"process_type": "web", "index": 1, "memory_limit": 1, "build": None}
    release = cast.app.releases.first()
    return new_container(app=cast.app, release=release, kind=kind, **{**parts, **changes})


def test_scaling_above_it_is_refused_and_says_how_many(three: Cast) -> None:
    said = Browser(three.developer).post("/t/demo/shop/settings/", {"web": "4"}).content.decode()
    assert "Cannot run 4 containers of shop: demo has 0 containers beside them, and may have 3 at once." in said
    assert "Scale it, or another app of the tenant, to fewer, or ask an administrator" in said
    assert scale(actor=three.developer, app=three.app, formation={"web": 3})


def test_other_apps_of_the_tenant_count_and_those_of_others_do_not(three: Cast) -> None:
    other = create_app(actor=three.owner, tenant=three.tenant, name="other")
    two = (ProcessSpec("web", ("x",), count=2),)
    released(other, three.owner, report(processes=two))
    released(three.others_app, three.stranger, report(processes=two * 1))
    with pytest.raises(Refused, match="demo has 2 containers beside them"):
        scale(actor=three.developer, app=three.app, formation={"web": 2})
    with pytest.raises(Refused, match="cannot run 2 containers of shop: demo has 2"):
        roll_out._check_quota(three.app, released(three.app, three.owner, report(processes=two)))
    Tenant.objects.update(containers_at_once=1)
    three.app.refresh_from_db()
    scale(actor=three.developer, app=three.app, formation={"web": 0})


def test_a_command_is_one_of_them(three: Cast) -> None:
    make_run(three.app, three.developer)
    make_run(three.app, three.developer)
    with pytest.raises(Refused, match="cannot run a command: demo has 3 containers beside it, and may have 3"):
        make_run(three.app, three.developer)


def test_what_starts_is_counted_and_what_it_replaces_is_not(three: Cast) -> None:
    for index in (1, 2, 3):
        start(three, index=index)
    start(three, index=2)  # of the next release
    start(three, KINDS.BUILD, process_type="build")
    with pytest.raises(Refused, match=r"cannot start web\.4 of shop: demo has 3 containers"):
        start(three, index=4)
    with pytest.raises(Refused):
        start(three, KINDS.COMMAND)
    Container.objects.filter(index=3).update(status="stopped")
    start(three, KINDS.COMMAND)
    with pytest.raises(Refused):
        start(three, KINDS.COMMAND)


def test_a_command_that_finds_no_room_any_more_says_so(three: Cast) -> None:
    run = make_run(three.app, three.developer)
    for index in (1, 2, 3):
        start(three, index=index)
    runs.settle(run.pk)
    run.refresh_from_db()
    assert run.status == "failed" and run.error and "may have 3 at once" in run.error["summary"]
