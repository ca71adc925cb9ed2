"""Members of a tenant on their page: who may do what, and that a tenant keeps an owner."""

from __future__ import annotations

import re

import pytest

from paas.errors import BadInput, Conflict, Refused
from tenants.accounts.access import role_in
from tenants.accounts.actions import (
    change_role,
    let_in,
    make_sign_in_link,
    save_profile,
    set_password,
    shut_out,
    use_sign_in_link,
)
from tenants.accounts.models import Member, Role, User
from tenants.audit.models import Event
from tests.web.cast import Cast
from tests.web.pages import Browser

PAGE = "/tenants/demo/"


def member(cast: Cast, user: User) -> Member:
    return Member.objects.get(tenant=cast.tenant, user=user)


def test_an_owner_changes_a_role_and_it_counts_at_once(cast: Cast) -> None:
    path = f"{PAGE}members/{member(cast, cast.viewer).pk}/role/"
    page = Browser(cast.owner).post(path, {"role": "developer"}, follow=True).content.decode()
    assert "viewer@example.com is now developer of Demo." in page
    assert role_in(cast.viewer, cast.tenant) == Role.DEVELOPER
    assert Browser(cast.viewer).post("/t/demo/shop/restart/").status_code == 302
    event = Event.objects.get(verb="member.role")
    assert (event.actor, event.tenant_id) == (cast.owner, cast.tenant.pk)
    assert event.detail == {"email": "viewer@example.com", "role": "developer", "was": "viewer"}


@pytest.mark.parametrize("who", ["developer", "viewer", "stranger", "admin"])
def test_nobody_else_changes_roles_or_members(cast: Cast, who: str) -> None:
    browser, row = Browser(getattr(cast, who)), member(cast, cast.viewer)
    status = 403 if who in ("developer", "viewer") else 404
    assert browser.post(f"{PAGE}members/{row.pk}/role/", {"role": "owner"}).status_code == status
    assert browser.post(f"{PAGE}members/{row.pk}/remove/").status_code == status
    assert browser.post(PAGE, {"email": "new@example.com", "role": "owner"}).status_code == status
    assert role_in(cast.viewer, cast.tenant) == Role.VIEWER
    assert not Event.objects.filter(verb__in=("member.role", "member.remove", "member.add")).exists()


def test_the_last_owner_can_neither_go_nor_step_down(cast: Cast) -> None:
    browser, row = Browser(cast.owner), member(cast, cast.owner)
    for path, body in (("remove/", {}), ("role/", {"role": "viewer"})):
        page = browser.post(f"{PAGE}members/{row.pk}/{path}", body, follow=True).content.decode()
        assert "Owner@example.com is the last owner of demo." in page or "is the last owner of demo" in page
        assert "Make another owner first." in page
    assert role_in(cast.owner, cast.tenant) == Role.OWNER
    change_role(actor=cast.owner, member=member(cast, cast.developer), role="owner")
    change_role(actor=cast.owner, member=row, role="viewer")
    assert role_in(cast.owner, cast.tenant) == Role.VIEWER


def test_a_member_of_another_tenant_is_not_found(cast: Cast) -> None:
    theirs = cast.other.members.get()
    assert Browser(cast.owner).post(f"{PAGE}members/{theirs.pk}/role/", {"role": "viewer"}).status_code == 404
    assert role_in(cast.stranger, cast.other) == Role.OWNER


def test_a_role_that_does_not_exist_is_refused(cast: Cast) -> None:
    row = member(cast, cast.viewer)
    page = Browser(cast.owner).post(f"{PAGE}members/{row.pk}/role/", {"role": "king"}, follow=True)
    assert "Choose one of the roles." in page.content.decode()
    with pytest.raises(BadInput):
        change_role(actor=cast.owner, member=row, role="king")


def test_of_two_changes_at_once_the_second_is_told(cast: Cast) -> None:
    stale = member(cast, cast.viewer)
    change_role(actor=cast.owner, member=member(cast, cast.viewer), role="developer")
    with pytest.raises(Conflict, match="no longer"):
        change_role(actor=cast.owner, member=stale, role="owner")


def test_a_new_persons_link_is_shown_once_and_only_an_administrator_makes_one(cast: Cast) -> None:
    refused = Browser(cast.owner).post(PAGE, {"email": "new@example.com", "role": "viewer"})
    assert refused.status_code == 422 and "Ask an administrator" in refused.content.decode()
    cast.tenant.members.create(user=cast.admin, role=Role.OWNER)
    browser = Browser(cast.admin)
    page = browser.post(PAGE, {"email": "new@example.com", "role": "viewer"}).content.decode()
    link = re.search(r"http://[^\"]+/sign-in/link/([\w-]+)", page)
    assert link and link[1] not in browser.get(PAGE).content.decode()
    assert Browser().post(f"/sign-in/link/{link[1]}").headers["Location"] == "/account/password/"


def test_many_members_are_paged_and_found(cast: Cast, django_assert_max_num_queries: object) -> None:
    people = User.objects.bulk_create(User(email=f"p{n:03}@example.net", password="!") for n in range(300))
    Member.objects.bulk_create(Member(tenant=cast.tenant, user=user, role="viewer") for user in people)
    browser = Browser(cast.owner)
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        page = browser.get(PAGE).content.decode()
    assert "303 members" in page and "25 of 303" in page
    found = browser.get(f"{PAGE}?q=p123").content.decode()
    assert "p123@example.net" in found and "p124@example.net" not in found


# --- shutting a person out
def test_who_is_shut_out_is_out_everywhere_at_once_and_for_good(cast: Cast) -> None:
    set_password(actor=cast.developer, password="a berth for every boat")
    inside, client = Browser(cast.developer), cast.client(cast.developer)
    link = make_sign_in_link(actor=cast.admin, user=cast.developer)
    people, path = Browser(cast.admin), f"/machine/people/{cast.developer.pk}"
    assert f'action="{path}/shut-out/"' in people.get("/machine/people/").content.decode()
    assert inside.get("/t/demo/shop/").status_code == 200 and client.call("GET", "me").status_code == 200
    page = people.post(f"{path}/shut-out/", follow=True).content.decode()
    assert "developer@example.com is shut out." in page and f'action="{path}/let-in/"' in page
    for _ in range(2):
        assert inside.get("/t/demo/shop/").headers["Location"].startswith("/sign-in/")
        assert client.call("GET", "me").status_code == 401
        with pytest.raises(Refused):
            use_sign_in_link(link)
        word = {"login": cast.developer.email, "password": "a berth for every boat"}
        assert Browser().post("/sign-in/", word).status_code == 200, "the form again"
        people.post(f"{path}/let-in/")  # brings nothing of that back
    assert role_in(User.objects.get(pk=cast.developer.pk), cast.tenant) == Role.DEVELOPER
    assert use_sign_in_link(make_sign_in_link(actor=cast.admin, user=cast.developer)) == cast.developer
    events = Event.objects.filter(verb__startswith="person.").order_by("pk")
    assert [(event.verb, event.actor) for event in events] == [
        ("person.shut-out", cast.admin),
        ("person.let-in", cast.admin),
    ]
    assert events[0].detail == {"email": "developer@example.com"}


def test_nobody_shuts_themselves_out_and_only_administrators_others(cast: Cast) -> None:
    page = Browser(cast.admin).post(f"/machine/people/{cast.admin.pk}/shut-out/", follow=True).content.decode()
    assert "Nobody can shut themselves out" in page and "Ask another administrator" in page
    for action in (shut_out, let_in):
        with pytest.raises(Refused):
            action(actor=cast.owner, user=cast.viewer)
    assert not Event.objects.filter(verb__startswith="person.").exists()


# --- one's own profile
def test_a_profile_change_is_in_the_audit_trail(cast: Cast) -> None:
    browser = Browser(cast.owner)
    for _ in range(2):
        browser.post("/account/", {"name": " Olive ", "time_zone": "Europe/Berlin"})
    event = Event.objects.get(verb="profile.change")
    assert event.actor == cast.owner
    assert event.detail == {"name": "Olive", "time_zone": "Europe/Berlin"}


def test_a_wrong_profile_changes_nothing(cast: Cast) -> None:
    sent = Browser(cast.owner).post("/account/", {"name": "a\u202eb", "time_zone": "Europe/Berlin"})
    assert sent.status_code == 422 and "control characters" in sent.content.decode()
    with pytest.raises(BadInput):
        save_profile(actor=cast.owner, name="", time_zone="../../etc/passwd")
    cast.owner.refresh_from_db()
    assert (cast.owner.name, cast.owner.time_zone) == ("", "UTC")
