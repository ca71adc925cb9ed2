"""Releases of two apps: compared by whoever is a member of their tenant, and by nobody else."""

from __future__ import annotations

import pytest

from tenants.accounts.models import Member, Role
from tenants.apps.actions import create_app
from tenants.inspections.models import Inspection
from tenants.releases.models import Build, Release
from tests.web.cast import Cast, released
from tests.web.pages import Browser, markup

API, PAGE = "apps/demo/shop/releases/1/compare/1", "/t/demo/shop/releases/1/compare/"


@pytest.fixture
def neighbour(cast: Cast) -> Release:
    """Of another app of the tenant; the other tenant's app has a release as well."""
    released(cast.others_app, cast.stranger)
    return released(create_app(actor=cast.owner, tenant=cast.tenant, name="mill"), cast.developer)


def test_another_app_of_the_tenant_is_the_other_side(cast: Cast, neighbour: Release) -> None:
    told = cast.client(cast.viewer).call("POST", f"{API}?before_app=mill").json()
    assert (told["version"], told["before_app"], told["before"]) == (1, "mill", 1)
    asked = Inspection.objects.get(pk=told["id"])
    assert (asked.release, asked.before) == (cast.app.releases.get(), neighbour)
    page = markup(Browser(cast.viewer).get(f"{PAGE}?with=mill:1", follow=True))
    assert "From mill v1 to v1" in page and Inspection.objects.count() == 1, "the same question"


def test_another_tenants_app_is_not_found(cast: Cast, neighbour: Release) -> None:
    for name in ("blog", "other/blog", "nothing"):
        answer = cast.client(cast.viewer).call("POST", f"{API}?before_app={name}")
        assert answer.status_code == 404, name
        assert Browser(cast.viewer).get(f"{PAGE}?with={name}:1").status_code == 404, name
    Member.objects.create(tenant=cast.other, user=cast.viewer, role=Role.OWNER)
    assert cast.client(cast.viewer).call("POST", f"{API}?before_app=blog").status_code == 404
    for person in (cast.stranger, cast.admin):
        assert cast.client(person).call("POST", f"{API}?before_app=mill").status_code == 404
    assert not Inspection.objects.exists()


def test_the_page_offers_its_own_releases_and_those_of_its_neighbours(cast: Cast, neighbour: Release) -> None:
    released(cast.app, cast.developer)
    Member.objects.create(tenant=cast.other, user=cast.viewer, role=Role.OWNER)
    page = markup(Browser(cast.viewer).get(f"{PAGE}?with=mill:1", follow=True))
    assert '<optgroup label="shop">' in page and 'value="shop:2"' in page and 'value="shop:1"' not in page
    mills = page.partition('<optgroup label="mill">')[2].partition("</optgroup>")[0]
    assert 'value="mill:1"' in mills and "selected" in mills
    assert "blog" not in page.partition("<select")[2].partition("</select>")[0]


def test_the_only_release_of_an_app_is_compared_from_the_page_of_its_image(
    cast: Cast, neighbour: Release
) -> None:
    page = markup(Browser(cast.viewer).get("/t/demo/shop/releases/1/image/", follow=True))
    assert f'action="{PAGE}"' in page and 'value="mill:1"' in page and 'value="shop:' not in page
    neighbour.delete()
    assert PAGE not in markup(Browser(cast.viewer).get("/t/demo/shop/releases/1/image/", follow=True))


def test_what_its_image_stands_on_is_the_other_side(cast: Cast) -> None:
    browser = Browser(cast.viewer)
    assert browser.get(f"{PAGE}?with=base").status_code == 404, "nothing is known of it"
    Build.objects.filter(app=cast.app).update(base=f"sha256:{7:064}")
    page = markup(browser.get("/t/demo/shop/releases/1/image/", follow=True))
    assert f'action="{PAGE}"' in page and '<option value="base" >Its base image</option>' in page
    page = markup(browser.get(f"{PAGE}?with=base", follow=True))
    assert "From its base image to v1" in page and '<option value="base" selected>' in page
    asked = Inspection.objects.get(kind="base")
    told = cast.client(cast.viewer).call("POST", "apps/demo/shop/releases/1/compare/base").json()
    assert (told["id"], told["kind"], told["version"], told["before"]) == (asked.pk, "base", 1, None)


@pytest.mark.parametrize("name", ["mill:", "mill", "²", "mill:9", ":x"])
def test_what_is_no_release_is_not_found(cast: Cast, neighbour: Release, name: str) -> None:
    assert Browser(cast.viewer).get(PAGE, {"with": name}).status_code == 404
