from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from paas.errors import BadInput, Conflict, NotFound, Refused
from tenants.accounts.access import admin, role_in, tenant_for, tenants_of
from tenants.accounts.actions import (
    add_member,
    create_tenant,
    create_token,
    make_sign_in_link,
    remove_member,
    revoke_token,
    set_password,
    use_sign_in_link,
)
from tenants.accounts.models import ApiToken, Member, Role, SignInLink, Tenant, User
from tenants.apps.actions import create_app, destroy_app
from tenants.apps.models import App
from tenants.audit.models import Event
from tests.web.cast import Cast


# --- access
def test_each_role_includes_those_below_it(cast: Cast) -> None:
    assert tenant_for(cast.owner, "demo", Role.OWNER) == cast.tenant
    assert tenant_for(cast.viewer, "demo") == cast.tenant
    with pytest.raises(Refused, match="needs the role developer, and you are viewer"):
        tenant_for(cast.viewer, "demo", Role.DEVELOPER)


def test_administering_the_machine_gives_no_role_in_a_tenant(cast: Cast) -> None:
    assert admin(cast.admin) == cast.admin
    assert role_in(cast.admin, cast.tenant) is None
    with pytest.raises(NotFound):
        tenant_for(cast.admin, "demo")
    with pytest.raises(Refused):
        admin(cast.owner)


def test_who_is_shut_out_has_no_tenants(cast: Cast) -> None:
    cast.owner.is_active = False
    assert not tenants_of(cast.owner).exists()


# --- tenants and members
def test_a_user_id_range_is_never_given_twice(cast: Cast) -> None:
    gone = create_tenant(actor=cast.admin, slug="gone", name="Gone")
    gone.delete()
    again = create_tenant(actor=cast.admin, slug="gone", name="Gone")
    assert again.range_index == gone.range_index + 1
    assert again.members.get().role == Role.OWNER


@pytest.mark.parametrize("slug", ["a-b", "A", "1a", "", "x" * 21, "a\n", "demo "])
def test_a_wrong_slug_names_the_field(cast: Cast, slug: str) -> None:
    with pytest.raises(BadInput) as caught:
        create_tenant(actor=cast.admin, slug=slug, name="X")
    assert caught.value.details["field"] == "slug"


def test_only_administrators_make_tenants(cast: Cast) -> None:
    with pytest.raises(Refused):
        create_tenant(actor=cast.owner, slug="mine", name="Mine")
    with pytest.raises(Conflict):
        create_tenant(actor=cast.admin, slug="demo", name="Again")


def test_an_owner_adds_people_who_are_here_but_gets_no_link_to_them(cast: Cast) -> None:
    member, secret = add_member(
        actor=cast.owner, tenant=cast.tenant, email="Stranger@example.com ", role=Role.VIEWER
    )
    assert member.user == cast.stranger and secret is None
    with pytest.raises(Conflict):
        add_member(actor=cast.owner, tenant=cast.tenant, email="stranger@example.com", role=Role.VIEWER)


def test_only_an_administrator_brings_new_people_in(cast: Cast) -> None:
    with pytest.raises(Refused, match="nobody here"):
        add_member(actor=cast.owner, tenant=cast.tenant, email="new@example.com", role=Role.VIEWER)
    member, secret = add_member(actor=cast.admin, tenant=cast.tenant, email="new@example.com", role=Role.VIEWER)
    assert secret and use_sign_in_link(secret) == member.user
    assert not member.user.has_usable_password()


def test_the_last_owner_stays(cast: Cast) -> None:
    with pytest.raises(Conflict, match="last owner"):
        remove_member(actor=cast.owner, member=Member.objects.get(tenant=cast.tenant, user=cast.owner))
    remove_member(actor=cast.owner, member=Member.objects.get(tenant=cast.tenant, user=cast.viewer))
    assert role_in(cast.viewer, cast.tenant) is None


# --- secrets
def test_a_sign_in_link_works_once(cast: Cast) -> None:
    secret = make_sign_in_link(actor=None, user=cast.owner)
    assert use_sign_in_link(secret) == cast.owner
    with pytest.raises(Refused):
        use_sign_in_link(secret)


def test_a_sign_in_link_ends_after_a_day_and_with_its_person(cast: Cast) -> None:
    old, of_gone = (make_sign_in_link(actor=cast.admin, user=user) for user in (cast.owner, cast.viewer))
    SignInLink.objects.filter(user=cast.owner).update(expires_at=timezone.now() - timedelta(seconds=1))
    User.objects.filter(pk=cast.viewer.pk).update(is_active=False)
    for secret in (old, of_gone, "guess", "\ud800"):
        with pytest.raises(Refused):
            use_sign_in_link(secret)


def test_nobody_makes_links_for_others(cast: Cast) -> None:
    with pytest.raises(Refused):
        make_sign_in_link(actor=cast.owner, user=cast.admin)


def test_only_hashes_of_secrets_are_kept(cast: Cast) -> None:
    link, (_, token) = make_sign_in_link(actor=None, user=cast.owner), create_token(actor=cast.owner, name="ci")
    assert token.startswith("berth_")
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            kept = str(cursor.fetchall())
            assert link not in kept and token not in kept and token.removeprefix("berth_") not in kept, table


def test_tokens_are_revoked_by_their_owner_only(cast: Cast) -> None:
    token, _ = create_token(actor=cast.owner, name="ci")
    with pytest.raises(NotFound):
        revoke_token(actor=cast.stranger, token_id=token.pk)
    revoke_token(actor=cast.owner, token_id=token.pk)
    revoke_token(actor=cast.owner, token_id=token.pk)
    assert ApiToken.objects.get(pk=token.pk).revoked_at
    assert Event.objects.filter(verb="token.revoke").count() == 1


def test_a_weak_password_is_refused_with_reasons(cast: Cast) -> None:
    with pytest.raises(BadInput) as caught:
        set_password(actor=cast.owner, password="password")
    assert caught.value.details["field"] == "password" and "too short" in caught.value.hint
    set_password(actor=cast.owner, password="a walk by the harbour")
    assert User.objects.get(pk=cast.owner.pk).check_password("a walk by the harbour")


# --- apps
@pytest.mark.parametrize("name", ["Shop", "-a", "a-", "a_b", "", "x" * 41, "<b>", "a\n", "xn--80ak6aa92e"])
def test_a_wrong_app_name_names_the_field(cast: Cast, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        create_app(actor=cast.owner, tenant=cast.tenant, name=name)
    assert caught.value.details["field"] == "name"


def test_the_dashboards_own_address_cannot_be_taken(cast: Cast, settings: object) -> None:
    settings.DASHBOARD_HOST = "berth-demo.localhost"  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="dashboard"):
        create_app(actor=cast.owner, tenant=cast.tenant, name="berth")


def test_destroying_asks_for_the_name(cast: Cast) -> None:
    with pytest.raises(BadInput) as caught:
        destroy_app(actor=cast.owner, app=cast.app, confirm="Shop")
    assert caught.value.details["field"] == "confirm"
    assert App.objects.get(pk=cast.app.pk).destroyed_at is None


def test_a_destroyed_app_is_gone_for_people_until_its_name_is_free_again(cast: Cast) -> None:
    before = App.objects.get(pk=cast.app.pk).generation
    destroy_app(actor=cast.owner, app=cast.app, confirm="shop")
    assert cast.client(cast.owner).call("GET", "apps/demo/shop").status_code == 404
    assert App.objects.get(pk=cast.app.pk).generation == before + 1
    with pytest.raises(NotFound):
        destroy_app(actor=cast.owner, app=cast.app, confirm="shop")
    with pytest.raises(Conflict, match="still being destroyed"):
        create_app(actor=cast.owner, tenant=cast.tenant, name="shop")


# --- commands
@pytest.mark.django_db
def test_bootstrap_makes_the_first_administrator_and_tenant_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        call_command("bootstrap", email="first@example.com", tenant="demo", print_link=True)
    person, tenant = User.objects.get(), Tenant.objects.get()
    assert person.is_admin and not person.has_usable_password()
    assert role_in(person, tenant) == Role.OWNER
    first, second = capsys.readouterr().out.split()
    assert first != second and first.startswith("http://berth.localhost:8080/sign-in/link/")
    assert use_sign_in_link(first.rsplit("/", 1)[1]) == person


def test_bootstrap_keeps_an_administrator_who_is_there(cast: Cast) -> None:
    call_command("bootstrap", email="other@example.com")
    assert User.objects.filter(is_admin=True).get() == cast.admin


def test_sign_in_link_for_a_person(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sign_in_link", "owner@example.com")
    assert use_sign_in_link(capsys.readouterr().out.strip().rsplit("/", 1)[1]) == cast.owner
    with pytest.raises(CommandError, match="nobody has the address"):
        call_command("sign_in_link", "none@example.com")
