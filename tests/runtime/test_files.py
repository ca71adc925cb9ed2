"""What containers and copy steps write, and whose it is."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

import pytest

from paas.linux import mounts
from paas.specs import BindMount
from tests.runtime.conftest import BASE, UID_BASE, Bed

pytestmark = pytest.mark.kernel


def test_a_changeset_has_ids_from_zero(bed: Bed) -> None:
    spec = bed.spec(
        "echo new > /srv/made; chown 1000:1000 /srv/made; rm /etc/group; mkdir /opt",
        user="0",
        root_capable=True,
    )
    assert bed.finish(spec).exit_code == 0
    upper = bed.runtime.changeset(spec.id)
    made = (upper / "srv" / "made").stat()
    assert (made.st_uid, made.st_gid) == (1000, 1000)
    assert (upper / "opt").stat().st_uid == 0
    assert stat.S_ISCHR((upper / "etc" / "group").stat().st_mode)  # a whiteout
    names = {str(path.relative_to(upper)) for path in upper.rglob("*")}
    assert names == {"srv", "srv/made", "etc", "etc/group", "opt"}
    bed.runtime.delete(spec.id)
    assert not upper.exists()


def test_mount_points_that_the_runtime_made_are_not_the_steps(bed: Bed) -> None:
    bare = "sha256:" + "a" * 64
    layer = bed.paths.store / "layers" / ("a" * 64)
    (layer / "bin").mkdir(parents=True, exist_ok=True)
    if not (layer / "bin" / "sh").exists():
        os.link(bed.paths.store / "layers" / ("b" * 64) / "bin" / "busybox", layer / "bin" / "sh")
    spec = bed.spec(
        "/bin/sh", "-c", "echo x > /made", layers=(bare,), user="0", root_capable=True, workdir="/w/d"
    )
    assert bed.finish(spec).exit_code == 0
    upper = bed.runtime.changeset(spec.id)
    assert {str(path.relative_to(upper)) for path in upper.rglob("*")} == {"made"}


def test_the_written_files_are_there_and_read_only(bed: Bed) -> None:
    lines = bed.says(
        "cat /etc/resolv.conf /etc/hosts /etc/hostname; busybox hostname; (echo x >> /etc/hosts) 2>&1",
        user="0",
        root_capable=True,
        hosts=(("127.0.0.1", "localhost"), ("10.209.1.1", "web-1")),
        hostname="web-1",
    )
    assert lines[:5] == ["nameserver 10.209.0.1", "127.0.0.1\tlocalhost", "10.209.1.1\tweb-1", "web-1", "web-1"]
    assert lines[5:] == ["sh: can't create /etc/hosts: Permission denied"]  # the file is the host's root's


def test_layers_are_shared_and_never_written(bed: Bed) -> None:
    bed.says("echo changed > /etc/passwd", user="0", root_capable=True)
    assert bed.says("grep -c changed /etc/passwd") == ["0"]
    assert bed.says("grep -c changed /etc/passwd", tenant=bed.neighbour) == ["0"]


def test_a_cache_is_kept_between_containers_and_is_the_tenants(bed: Bed) -> None:
    folder = bed.paths.disks / bed.tenant.id / "cache" / "pip"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    bind = BindMount(folder, "/cache", writable=True)
    bed.says("echo kept > /cache/file", mounts=(bind,))
    assert bed.says("cat /cache/file", mounts=(bind,)) == ["kept"]
    assert (folder / "file").stat().st_uid == 1000
    with pytest.raises(ValueError, match="may only be shown read-only"):
        bed.says("true", mounts=(replace(bind, source=bed.paths.state),))


def test_a_program_that_only_a_bind_has_can_start(bed: Bed) -> None:
    tool = bed.paths.store / "layers" / ("b" * 64) / "bin" / "busybox"
    # busybox goes by its first word that is an applet's name
    assert bed.says("busybox-tool", "echo", "hi", mounts=(BindMount(tool, "/bin/busybox-tool"),)) == ["hi"]


def test_plain_rootfs(bed: Bed) -> None:
    with bed.runtime.plain_rootfs(bed.tenant, (BASE,)) as plain:
        assert (plain.root / "etc" / "passwd").stat().st_uid == 0
        (plain.root / "srv" / "copied").write_text("x")
        os.chown(plain.root / "srv" / "copied", 5, 5)
        assert (plain.upper / "srv" / "copied").stat().st_uid == 5
    assert not plain.upper.exists()
    assert not plain.root.exists()


def test_plain_rootfs_cleans_up_after_an_error(bed: Bed) -> None:
    with pytest.raises(ZeroDivisionError), bed.runtime.plain_rootfs(bed.tenant, (BASE,)) as plain:
        raise ZeroDivisionError
    assert not plain.root.exists()


def test_on_the_host_a_containers_files_are_the_ranges(bed: Bed) -> None:
    spec = bed.launch(bed.spec("touch /tmp/x; echo up; sleep 60"))
    bed.until(lambda: bed.output(spec) == ["up"])
    seen = bed.paths.disk_views / bed.tenant.id / "containers" / spec.id / "upper" / "tmp" / "x"
    assert seen.stat().st_uid == UID_BASE + 1000


def test_a_tenant_comes_and_goes_without_a_trace(bed: Bed) -> None:
    tenant = replace(bed.tenant, id="9" * 12)
    bed.runtime.prepare_tenant(tenant)
    bed.runtime.prepare_tenant(tenant)
    spec = bed.launch(bed.spec("sleep 60", tenant=tenant))
    image = bed.paths.tenants / tenant.id / "disk.img"
    assert image.stat().st_blocks * 512 < tenant.disk_bytes // 4  # sparse
    bed.runtime.remove_tenant(tenant.id)
    assert bed.leftovers(spec.id) == []
    assert bed.leftovers(tenant.id) == []
    assert not image.exists()


def test_a_disk_survives_a_reboot_and_scratch_does_not(bed: Bed) -> None:
    tenant = replace(bed.tenant, id="8" * 12)
    bed.runtime.prepare_tenant(tenant)
    disk = bed.paths.disks / tenant.id
    (disk / "cache" / "kept").touch()
    (disk / "containers" / "gone").mkdir()
    for place in (bed.paths.layer_views / tenant.id, bed.paths.disk_views / tenant.id, disk):
        mounts.unmount(place)
    bed.runtime.prepare_tenant(tenant)
    assert (disk / "cache" / "kept").exists()
    assert list((disk / "containers").iterdir()) == []
    bed.runtime.remove_tenant(tenant.id)
