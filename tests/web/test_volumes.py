"""Volumes as people see them: listed, kept when a release lets go of them, deleted by their name alone."""

from __future__ import annotations

from typing import Any

import pytest

from paas.errors import BadInput, Conflict, HostProblem
from paas.worker.translate import volume_mounts
from tenants.audit.models import Event
from tenants.releases.actions import restart, rollback
from tenants.releases.models import Release
from tenants.volumes import observations
from tenants.volumes.actions import delete_volume
from tenants.volumes.models import Volume
from tenants.volumes.selectors import mounted
from tests.web.cast import Cast, go_live, released, report
from tests.web.pages import Browser

DATA = (("data", "/var/lib/data"),)
SETTINGS = "/t/demo/shop/settings/"
VOLUMES = "apps/demo/shop/volumes"


def deploy(cast: Cast, *volumes: tuple[str, str]) -> Release:
    """As far as rows go, in the order of a roll-out."""
    release = released(cast.app, cast.owner, report(volumes=volumes))
    observations.wanted(cast.app, release.volumes)
    return release


def listed(cast: Cast) -> list[tuple[str, str, bool]]:
    found = cast.client(cast.viewer).call("GET", VOLUMES).json()
    return [(volume["name"], volume["path"], volume["mounted"]) for volume in found]


def test_a_release_makes_the_row_and_the_next_has_the_same_folder(cast: Cast) -> None:
    first = volume_mounts(cast.app, deploy(cast, *DATA))
    second = deploy(cast, ("data", "/srv/other"))
    assert [(mount.volume, mount.target) for mount in volume_mounts(cast.app, second)] == [
        (first[0].volume, "/srv/other")
    ]
    assert Volume.objects.count() == 1 and listed(cast) == [("data", "/srv/other", True)]


def test_restarts_and_rollbacks_bring_the_volumes_of_their_release(cast: Cast) -> None:
    deploy(cast, *DATA)
    deploy(cast)
    assert listed(cast) == [("data", "/var/lib/data", False)]
    assert restart(actor=cast.owner, app=cast.app).volumes == []
    back = rollback(actor=cast.owner, app=cast.app, version=2)
    assert back.volumes == [["data", "/var/lib/data"]]
    go_live(back)
    assert listed(cast) == [("data", "/var/lib/data", True)]


def test_what_no_release_mounts_is_kept_and_shown_so(cast: Cast) -> None:
    deploy(cast, *DATA)
    page = Browser(cast.owner).get(SETTINGS).content.decode()
    assert "not counted yet" in page and "Delete volume data" not in page
    deploy(cast)
    observations.sized(Volume.objects.get(), 5 << 20)
    page = Browser(cast.owner).get(SETTINGS).content.decode()
    assert "not mounted by the present release; was at" in page and "5 MiB" in page
    assert "Delete volume data?" in page and "all that is in its volumes" in page
    viewed = Browser(cast.viewer).get(SETTINGS).content.decode()
    assert "not mounted by the present release" in viewed and "Delete volume" not in viewed


def test_deleting_asks_for_the_name_and_for_a_release_without_it(cast: Cast) -> None:
    deploy(cast, *DATA)
    volume = Volume.objects.get()
    with pytest.raises(BadInput, match="not the volume's name"):
        delete_volume(actor=cast.owner, volume=volume, confirm="date")
    with pytest.raises(Conflict, match="mounted by the present release"):
        delete_volume(actor=cast.owner, volume=volume, confirm="data")
    coming = released(cast.app, cast.owner)
    Release.objects.filter(pk=coming.pk).update(status="pending")
    cast.app.releases.filter(version=2).update(status="live")
    assert mounted(cast.app) == {"data": "/var/lib/data"}
    go_live(coming)
    page = Browser(cast.owner).post("/t/demo/shop/volumes/data/delete/", {"confirm": "no"}, follow=True)
    assert "so nothing was deleted" in page.content.decode() and Volume.objects.get().delete_asked_at is None
    page = Browser(cast.owner).post("/t/demo/shop/volumes/data/delete/", {"confirm": "data"}, follow=True)
    assert "Volume data is being deleted." in page.content.decode() and listed(cast) == []
    event = Event.objects.get(verb="volume.delete")
    assert (event.actor, event.detail) == (cast.owner, {"name": "data"})
    assert cast.client(cast.owner).call("DELETE", f"{VOLUMES}/data", {"confirm": "data"}).status_code == 404


def test_a_name_can_be_used_again_while_the_old_one_goes(cast: Cast) -> None:
    deploy(cast, *DATA)
    deploy(cast)
    delete_volume(actor=cast.owner, volume=Volume.objects.get(), confirm="data")
    release = deploy(cast, *DATA)
    fresh = Volume.objects.get(delete_asked_at=None)
    assert Volume.objects.count() == 2
    assert [mount.volume for mount in volume_mounts(cast.app, release)] == [fresh.pk]


def test_a_container_never_starts_without_its_volume(cast: Cast) -> None:
    release = deploy(cast, *DATA)
    Volume.objects.all().delete()
    with pytest.raises(HostProblem, match="volume data of demo/shop is not there"):
        volume_mounts(cast.app, release)


def test_nothing_is_shown_of_another_tenants(cast: Cast, platform: Any) -> None:
    deploy(cast, *DATA)
    assert cast.client(cast.stranger).call("GET", VOLUMES).status_code == 404
    path = "apps/other/blog/volumes/data"
    assert cast.client(cast.stranger).call("DELETE", path, {"confirm": "data"}).status_code == 404
