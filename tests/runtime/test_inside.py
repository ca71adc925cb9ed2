"""Looking into an image from the host: users, programs, and links that want to lead out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.errors import BadInput, Refused
from paas.runtime import stubs
from paas.runtime.inside import Identity, Inside, check_places, identify
from paas.runtime.rootfs import layer_folders

PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44::/var/www:/bin/false\nodd\nhuge:x:99999999:1::/:\n"
GROUP = "root:x:0:\nweb:x:44:\nmedia:x:500:web,other\nstaff:x:50:\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "etc" / "group").write_text(GROUP)
    return tmp_path


@pytest.fixture
def inside(root: Path) -> Iterator[Inside]:
    with Inside(root) as opened:
        yield opened


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("", Identity(0, 0, (), "/root")),
        ("0", Identity(0, 0, (), "/root")),
        ("web", Identity(33, 44, (500,), "/var/www")),
        ("33", Identity(33, 44, (500,), "/var/www")),
        ("web:staff", Identity(33, 50, (), "/var/www")),
        ("web:7", Identity(33, 7, (), "/var/www")),
        ("1234", Identity(1234, 0, (), "/")),
        ("1234:4321", Identity(1234, 4321, (), "/")),
    ],
)
def test_identify(inside: Inside, user: str, identity: Identity) -> None:
    assert identify(user, inside) == identity


@pytest.mark.parametrize(
    ("user", "error"),
    [("nobody", BadInput), ("web:nogroup", BadInput), ("-1", BadInput), ("٣", BadInput), ("70000", Refused),
     ("0:65536", Refused), ("huge", Refused), ("a\0b", BadInput)],
)  # fmt: skip
def test_identify_refuses(inside: Inside, user: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        identify(user, inside)


def test_links_do_not_lead_out(root: Path, inside: Inside) -> None:
    (root / "etc" / "passwd").unlink()
    (root / "etc" / "passwd").symlink_to("/etc/passwd.real")
    (root / "etc" / "passwd.real").write_text("web:x:34:44::/:\n")
    (root / "up").symlink_to("../../../../../../../etc/hostname")
    (root / "magic").symlink_to("/proc/self/root/etc/hostname")
    assert identify("web", inside).uid == 34
    assert inside.stat("/up") is None
    assert inside.stat("/magic") is None


def test_where_a_path_leads_once_everything_is_mounted(root: Path, inside: Inside) -> None:
    (root / "abs").symlink_to("/etc/../srv/here")
    (root / "etc" / "up").symlink_to("../../abs/below")
    (root / "descriptor").symlink_to("/proc/self/fd/7")
    paths = ("/", "a/./b/..", "/abs", "/etc/up/x", "/descriptor/../..", "/../../etc/passwd/")
    led = ["/", "/a", "/srv/here", "/srv/here/below/x", "/proc/self", "/etc/passwd"]
    assert [str(inside.leads_to(path)) for path in paths] == led


@pytest.mark.parametrize(
    ("workdir", "target"),
    [("/proc/self/fd/7", ""), ("/descriptor", ""), ("/", "/proc"), ("/", "/sys/fs/x"), ("/", "/dev/shm"),
     ("/", "/app/../proc"), ("/", "/indirect/sys"), ("/", "/"), ("/", "/top"), ("/loop", "")],
)  # fmt: skip
def test_nothing_begins_in_or_lies_over_what_is_the_kernels(
    root: Path, inside: Inside, workdir: str, target: str
) -> None:
    links = {"descriptor": "/proc/self/fd/7", "indirect": "proc", "top": "/etc/..", "loop": "loop"}
    for name, to in links.items():
        (root / name).symlink_to(to)
    with pytest.raises((Refused, BadInput), match="cannot start"):
        check_places(workdir, [target] if target else [], inside)


def test_other_places_are_the_images_own(inside: Inside) -> None:
    check_places("/procession", ["/etc/hosts", "/device/x", "/var/cache/uv"], inside)


def test_what_is_no_plain_file_is_empty(root: Path, inside: Inside) -> None:
    os.mkfifo(root / "fifo")
    (root / "loop").symlink_to("loop")
    assert [inside.read(p) for p in ("/fifo", "/loop", "/etc", "/none", "/etc/passwd/x", "/n" * 3000)] == [
        ""
    ] * 6


def test_reading_stops_at_a_mib(root: Path, inside: Inside) -> None:
    with (root / "big").open("wb") as file:
        file.truncate(1 << 32)
    assert len(inside.read("/big")) == 1 << 20


def test_missing_mount_points_with_their_parents(root: Path, inside: Inside) -> None:
    (root / "proc").mkdir()
    assert stubs.missing(["/etc/hosts", "/a/b"], inside) == ("/dev", "/sys", "/etc/hosts", "/a", "/a/b")


def test_stubs_go_and_what_a_step_made_stays(root: Path) -> None:
    (root / "gone").mkdir()
    (root / "gone" / "empty").touch()
    (root / "kept").mkdir()
    (root / "kept" / "full").write_text("x")
    outside = root.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "file").touch()
    (root / "link").symlink_to(outside)
    stubs.remove(root, ["/gone", "/gone/empty", "/kept", "/kept/full", "/link/file", "/link", "/never"])
    assert not (root / "gone").exists()
    assert (root / "kept" / "full").exists()
    assert (root / "link").is_symlink()
    assert (outside / "file").exists()


def test_layer_folders_are_top_first() -> None:
    assert layer_folders(["sha256:" + "a" * 64, "sha256:" + "b" * 64]) == ["b" * 64, "a" * 64]


@pytest.mark.parametrize(
    "layers", [[], ["sha256:" + "A" * 64], ["sha512:" + "a" * 64], ["../x"], ["sha256:a:b"]]
)
def test_layer_folders_refuses(layers: list[str]) -> None:
    with pytest.raises(BadInput):
        layer_folders(layers)
