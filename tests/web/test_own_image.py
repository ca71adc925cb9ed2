"""A release whose commit was not made: its row has the image of the one below, and nobody gets that."""

from __future__ import annotations

import pytest

from paas.errors import Conflict
from tenants.containers.actions import commit
from tenants.releases import observations
from tenants.releases.actions import restart, rollback
from tenants.releases.models import Release
from tests.web.cast import Cast, make_container
from tests.web.pages import Browser


def test_whoever_goes_on_after_a_failed_commit_does_not_try_it_again(cast: Cast) -> None:
    made = commit(actor=cast.owner, app=cast.app, container=make_container(cast.app))
    assert observations.release_failed(made, {"summary": "the container ended"})
    with pytest.raises(Conflict, match="v2 has no image: its commit failed"):
        rollback(actor=cast.owner, app=cast.app, version=2)
    assert restart(actor=cast.owner, app=cast.app).committed_from == ""
    cast.app.releases.filter(version__in=(1, 3)).update(status="superseded")  # nothing has ever served
    assert restart(actor=cast.owner, app=cast.app).committed_from == ""


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("failed", "v2 has no image: its commit failed"),
        ("superseded", "v2 has no image: a later release came before its commit was made"),
        ("starting", "v2 has no image yet: its commit is under way"),
    ],
)
def test_a_release_that_has_the_image_of_the_one_below_gives_none_as_its_own(
    cast: Cast, status: str, said: str
) -> None:
    made = commit(actor=cast.owner, app=cast.app, container=make_container(cast.app))
    Release.objects.filter(pk=made.pk).update(status=status)
    restart(actor=cast.owner, app=cast.app)
    client, releases = cast.client(cast.developer), "apps/demo/shop/releases"
    answers = [
        client.call("POST", f"{releases}/2/push", {"image": "registry.example/shop:v2"}),
        client.call("POST", f"{releases}/2/export"),
        client.call("POST", f"{releases}/2/image"),
        client.call("POST", f"{releases}/2/compare/1"),
        client.call("POST", f"{releases}/1/compare/2"),
        client.call("POST", f"{releases}/2/compare/base"),
        client.call("POST", f"{releases}/rollback", {"version": 2}),
    ]
    assert {(answer.status_code, answer.json()["error"]["summary"]) for answer in answers} == {(409, said)}
    shown = {release["version"]: release for release in client.call("GET", releases).json()}
    assert (shown[2]["image"], shown[2]["image_kept"]) == ("", False) and shown[1]["image_kept"]
    page = Browser(cast.developer).get("/t/demo/shop/releases/").content.decode()
    assert "/releases/1/image/" in page and "/releases/2/image/" not in page
    form = Browser(cast.developer).get("/t/demo/shop/pushes/").content.decode()
    assert '<option value="1"' in form and '<option value="2"' not in form
