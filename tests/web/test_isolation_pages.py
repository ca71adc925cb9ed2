"""The isolation report on pages: who sees what, and that a broken promise cannot be overlooked."""

from __future__ import annotations

from tenants.isolation import actions, observations
from tenants.isolation.models import Report
from tenants.isolation.observations import Tally
from tests.web.cast import Cast
from tests.web.pages import Browser, markup
from tests.web.seed_isolation import machine_answer, tenant_answer

WRONG = {"seccomp": "process 7 is not filtered <b>"}


def test_a_member_has_it_looked_again_and_sees_what_was_found(cast: Cast) -> None:
    browser = Browser(cast.viewer)
    assert "Nobody has looked yet." in markup(browser.get("/tenants/demo/isolation/"))
    assert browser.post("/tenants/demo/isolation/").status_code == 302
    waiting = markup(browser.get("/tenants/demo/isolation/"))
    assert "Waiting for a worker…" in waiting and "every 3s" in waiting
    claimed = observations.claim(cast.tenant.pk)
    assert claimed is not None and claimed.asked_by == cast.viewer
    observations.done(claimed, Tally(50, 1), tenant_answer(WRONG))
    shown = markup(browser.part("/tenants/demo/isolation/"))
    assert "<html" not in shown and "every 3s" not in shown
    assert "1 broken promise." in shown and "process 7 is not filtered &lt;b&gt;" in shown
    assert shown.count("<details") == 3 and shown.count(" open>") == 1
    assert "2 of 3 containers" in shown


def test_the_time_is_the_readers(cast: Cast) -> None:
    observations.looked(cast.tenant, Tally(50), tenant_answer({}))
    browser = Browser(cast.viewer)
    browser.cookies["tz"] = "Asia/Kolkata"
    assert " IST" in markup(browser.get("/tenants/demo/isolation/"))


def test_administrators_see_a_broken_promise_on_every_page_and_others_their_own_only(cast: Cast) -> None:
    admin, viewer = Browser(cast.admin), Browser(cast.viewer)
    observations.looked(cast.other, Tally(50, 2), tenant_answer(WRONG))
    alarm = "2 promises of isolation are broken on this machine."
    for path in ("/", "/machine/", "/machine/store/"):
        assert alarm in markup(admin.get(path)), path
    assert alarm not in markup(viewer.get("/"))
    assert "2 broken promises" in markup(admin.get("/machine/"))
    observations.looked(cast.other, Tally(52), tenant_answer({}))
    assert "of isolation" not in markup(admin.get("/"))


def test_the_machines_report(cast: Cast) -> None:
    admin = Browser(cast.admin)
    actions.look_at_machine(actor=cast.admin)
    claimed = observations.claim("machine")
    assert claimed is not None
    observations.done(claimed, Tally(7, 1), machine_answer({"listening": "valkey (77) listens on [::]:6379"}))
    observations.looked(cast.tenant, Tally(50), tenant_answer({}))
    shown = markup(admin.get("/machine/isolation/"))
    assert "valkey (77) listens on [::]:6379" in shown
    assert "CVE-2024-3727. Exposed" in " ".join(shown.split())
    assert '<a href="/tenants/demo/isolation/">demo</a>' in shown
    seen = markup(admin.get("/tenants/demo/isolation/"))
    assert "You see this as administrator." in seen and "Run again" not in seen


def test_a_look_that_failed_says_so_and_keeps_what_was_found(cast: Cast) -> None:
    observations.looked(cast.tenant, Tally(50), tenant_answer({}))
    actions.look_at(actor=cast.viewer, tenant=cast.tenant)
    claimed = observations.claim(cast.tenant.pk)
    assert claimed is not None
    observations.failed(claimed, {"summary": "the isolation could not be looked at", "hint": "see the log"})
    shown = markup(Browser(cast.viewer).get("/tenants/demo/isolation/"))
    assert "The isolation could not be looked at." in shown and "Every promise holds." in shown
    assert Report.objects.get().passed == 50
