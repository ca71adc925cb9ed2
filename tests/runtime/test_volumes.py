"""Volumes on the real kernel: written by the app's user, there for the next container, the tenant's own."""

from __future__ import annotations

import stat

import pytest

from paas.errors import Refused
from paas.specs import VolumeMount
from tests.runtime.conftest import Bed

pytestmark = pytest.mark.kernel
DATA = VolumeMount("5" * 12, "/srv/data")


def test_what_one_container_writes_the_next_finds(bed: Bed) -> None:
    assert bed.says("id -u; echo one > /srv/data/file; stat -c %u:%g /srv/data", mounts=(DATA,)) == [
        "1000",
        "1000:1000",
    ]
    assert bed.says("cat /srv/data/file; ls /srv", mounts=(DATA,)) == ["one", "data"]
    folder = bed.paths.disks / bed.tenant.id / "volumes" / DATA.volume
    assert (folder / "file").read_text() == "one\n" and folder.stat().st_uid == 1000
    assert (bed.runtime.volume_bytes(bed.tenant.id, DATA.volume) or 0) >= 4096
    bed.runtime.remove_volume(bed.tenant, DATA.volume)
    bed.runtime.remove_volume(bed.tenant, DATA.volume)
    assert not folder.exists() and bed.says("ls /srv/data", mounts=(DATA,)) == []


def test_an_empty_one_is_its_next_users_and_a_filled_one_stays(bed: Bed) -> None:
    owner = "stat -c %u /srv/data"
    assert bed.says(owner, mounts=(DATA,), user="0:0", root_capable=True) == ["0"]
    assert bed.says(f"{owner}; touch /srv/data/x", mounts=(DATA,)) == ["1000"]
    assert bed.says(owner, mounts=(DATA,), user="0:0", root_capable=True) == ["1000"]


def test_a_set_user_id_bit_and_a_device_are_of_no_use(bed: Bed) -> None:
    said = bed.says(
        "busybox cp /bin/busybox /srv/data/id; chmod 4755 /srv/data/id; grep /srv/data /proc/self/mountinfo",
        mounts=(DATA,),
        user="0:0",
        root_capable=True,
    )
    assert "nosuid" in said[0] and "nodev" in said[0]
    copied = bed.paths.disks / bed.tenant.id / "volumes" / DATA.volume / "id"
    assert copied.stat().st_mode & stat.S_ISUID
    assert bed.says("/srv/data/id -u", mounts=(DATA,)) == ["1000"]


def test_a_link_in_the_image_leads_to_no_place_of_the_kernels(bed: Bed) -> None:
    with pytest.raises(Refused, match="a place of the kernel's"):
        bed.runtime.create(bed.spec("true", mounts=(VolumeMount(DATA.volume, "/proc/sys"),)), bed.paths.run)


def test_a_full_disk_is_that_tenants_alone(bed: Bed) -> None:
    """ENOSPC for its volumes and its root file systems; a neighbour goes on writing meanwhile."""
    fill = "dd if=/dev/zero of=/srv/data/fill bs=1M; dd if=/dev/zero of=/tmp/more bs=64k; echo end"
    neighbour = bed.launch(
        bed.spec(
            "while :; do echo still >> /srv/data/log || exit 1; sleep 0.05; done",
            tenant=bed.neighbour,
            mounts=(DATA,),
        )
    )
    said = bed.says(fill, mounts=(DATA,))
    assert sum("No space left on device" in line for line in said) == 2 and said[-1] == "end"
    log = bed.paths.disks / bed.neighbour.id / "volumes" / DATA.volume / "log"
    size = log.stat().st_size
    bed.until(lambda: log.stat().st_size > size)
    assert bed.runtime.state(neighbour.id).status == "running"
    effective = bed.runtime.tenant_effective(bed.tenant.id)
    assert effective and effective.disk_used and effective.disk_used > 0.95 * (effective.disk_bytes or 0)
    bed.runtime.remove_volume(bed.tenant, DATA.volume)
    assert bed.says("echo room > /srv/data/again; cat /srv/data/again", mounts=(DATA,)) == ["room"]


@pytest.fixture(autouse=True)
def emptied(bed: Bed) -> None:
    """Each test finds the volume new."""
    for tenant in (bed.tenant, bed.neighbour):
        bed.runtime.remove_volume(tenant, DATA.volume)
