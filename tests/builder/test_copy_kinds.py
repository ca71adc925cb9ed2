"""COPY of what is more than content: hard links, capabilities and named pipes."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from paas.errors import BadInput
from paas.oci.config import ImageConfig
from tests.builder.conftest import Bench

pytestmark = pytest.mark.kernel
NAME = "security.capability"
CAPABILITIES = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep
# The same for the root of one user namespace alone, whose id here is 4242.
OF_A_NAMESPACE = bytes.fromhex("010000030004000000000000000000000000000092100000")


def dockerfile(*lines: str, base: str = "debian:12") -> str:
    return "\n".join([f"FROM {base}", *lines, 'CMD ["x"]'])


def tagged(bench: Bench, name: str, folder: Path) -> None:
    info = bench.store.commit_changeset(folder)
    bench.store.tag(name, bench.store.put_image(ImageConfig(diff_ids=(info.diff_id,))).digest)


def linked(folder: Path) -> Path:
    """d/a, d/b, d/s/c and out are one file."""
    (folder / "d/s").mkdir(parents=True)
    (folder / "d/a").write_text("content")
    for name in ("d/b", "d/s/c", "out"):
        (folder / name).hardlink_to(folder / "d/a")
    return folder


def names(top: Path) -> list[list[str]]:
    """The files' names, those of one file together."""
    found: dict[int, list[str]] = {}
    for path in sorted(top.rglob("*")):
        if path.is_file():
            found.setdefault(path.lstat().st_ino, []).append(str(path.relative_to(top)))
    return list(found.values())


def test_hard_links_are_kept_within_each_source(bench: Bench) -> None:
    lines = [
        "COPY . /all/",
        "COPY --chown=app:staff --chmod=4711 d /own",
        "COPY --exclude=a d /less",
        "COPY d/a d/b /one-by-one/",
        "COPY d /again",
        "COPY d /again",
        "COPY --parents d /above/",
    ]
    source = linked(bench.source({"Dockerfile": dockerfile(*lines), ".dockerignore": "Dockerfile"}))
    image = bench.build(source).image
    for name, expected in {
        "all": [[".dockerignore"], ["d/a", "d/b", "d/s/c", "out"]],
        "own": [["a", "b", "s/c"]],
        "less": [["b", "s/c"]],
        "one-by-one": [["a"], ["b"]],
        "again": [["a", "b", "s/c"]],
        "above": [["d/a", "d/b", "d/s/c"]],
    }.items():
        assert names(bench.look(image, name)) == expected
    made = bench.look(image, "own/s/c").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode), made.st_nlink) == (1000, 50, 0o4711, 3)
    assert bench.read(image, "all/out") == "content"


def test_a_link_that_is_made_or_broken_makes_the_step_again(bench: Bench) -> None:
    source = bench.source({"Dockerfile": dockerfile("COPY d /x"), "d/a": "same", "d/b": "same"})
    assert names(bench.look(bench.build(source).image, "x")) == [["a"], ["b"]]
    (source / "d/b").unlink()
    (source / "d/b").hardlink_to(source / "d/a")
    assert names(bench.look(bench.build(source).image, "x")) == [["a", "b"]]
    shutil.copy2(source / "d/a", source / "d/c")
    (source / "d/c").rename(source / "d/b")
    assert bench.build(source).steps_cached == 1


def test_hard_links_of_a_stage_stay_within_what_is_copied(bench: Bench) -> None:
    """Never with the stage's own file, nor with one that the destination had by that name."""
    tagged(bench, "linked:1", linked(bench.source({})))
    full = bench.source({"etc/passwd": "root:x:0:0::/:\n", "x/a@": "/etc/passwd", "x/k": "old"})
    (full / "x/b").hardlink_to(full / "etc/passwd")
    (full / "x/s").mkdir()
    (full / "x/s/c").hardlink_to(full / "x/k")
    tagged(bench, "full:1", full)
    image = bench.build({"Dockerfile": dockerfile("COPY --from=linked:1 /d /x", base="full:1")}).image
    top = bench.store.layer_path(image.layers[-1])
    assert names(top) == [["x/a", "x/b", "x/s/c"]]
    assert bench.merged(image, lambda root: [(root / name).read_text() for name in ("etc/passwd", "x/k")]) == [
        "root:x:0:0::/:\n",
        "old",
    ]
    tagged(bench, "hostile:1", bench.source({"x/s@": "/etc", "etc/c": "old"}))
    with pytest.raises(BadInput, match="cannot copy a folder over 's'"):
        bench.build({"Dockerfile": dockerfile("COPY --from=linked:1 /d /x", base="hostile:1")})
    tagged(bench, "full:2", bench.source({"x/b/k": ""}))
    with pytest.raises(BadInput, match="cannot copy a file over the folder 'b'"):
        bench.build({"Dockerfile": dockerfile("COPY --from=linked:1 /d /x", base="full:2")})


def test_capabilities_are_kept_and_no_other_attribute(bench: Bench) -> None:
    folder = bench.source({"d/tool": "T", "d/inner": "I", "d/plain": "P"})
    (folder / "d/tool").chmod(0o755)
    (folder / "d/alias").hardlink_to(folder / "d/tool")
    for name, value in (("tool", CAPABILITIES), ("inner", OF_A_NAMESPACE)):
        os.setxattr(folder / "d" / name, NAME, value)
        os.setxattr(folder / "d" / name, "trusted.note", b"x")
    tagged(bench, "capable:1", folder)
    lines = [
        "COPY --from=capable:1 /d /x",
        "COPY --from=capable:1 --chown=app:staff --chmod=710 /d /y",
        "COPY --from=capable:1 --chown=app /d/tool /z",
    ]
    image = bench.build({"Dockerfile": dockerfile(*lines)}).image

    def kept(name: str) -> dict[str, bytes]:
        path = bench.look(image, name)
        return {key: os.getxattr(path, key) for key in os.listxattr(path)}

    for name in ("x/tool", "x/alias", "y/tool", "y/alias", "z"):
        assert kept(name) == {NAME: CAPABILITIES}
    assert kept("x/inner") == kept("y/inner") == {NAME: OF_A_NAMESPACE}
    assert kept("x/plain") == {}
    tool = bench.look(image, "y/tool").stat()
    assert (tool.st_uid, tool.st_gid, stat.S_IMODE(tool.st_mode)) == (1000, 50, 0o710)


def test_named_pipes_are_copied(bench: Bench) -> None:
    folder = bench.source({"q/f": "", "old/p": "a file"})
    os.mkfifo(folder / "q/p")
    os.chown(folder / "q/p", 5, 6)
    (folder / "q/p").chmod(0o642)
    os.utime(folder / "q/p", (1_000_000_000, 1_000_000_000))
    tagged(bench, "piped:1", folder)
    lines = [
        "COPY --from=piped:1 /q /x",
        "COPY --from=piped:1 --chown=app:staff --chmod=600 /q/p /y",
        "COPY --from=piped:1 /old /z",
        "COPY --from=piped:1 /q /z",
    ]
    image = bench.build({"Dockerfile": dockerfile(*lines)}).image
    for name, expected in {"x/p": (5, 6, 0o642), "y": (1000, 50, 0o600), "z/p": (5, 6, 0o642)}.items():
        found = bench.look(image, name).stat()
        assert stat.S_ISFIFO(found.st_mode)
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == expected
        assert found.st_mtime == 1_000_000_000


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_what_no_layer_holds_is_refused(bench: Bench, kind: int) -> None:
    source = bench.source({"Dockerfile": dockerfile("COPY d /x"), "d/f": ""})
    if kind == stat.S_IFSOCK:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(source / "d/odd"))
    else:
        os.mknod(source / "d/odd", kind | 0o600, os.makedev(1, 3))
    with pytest.raises(BadInput, match=r"line 2: COPY d /x: 'd/odd' is a device or a socket"):
        bench.build(source)
