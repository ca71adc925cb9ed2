"""COPY into real overlays, from sources and stages that mean harm."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path

import pytest

from paas.builder import BuildCancelled, demand_wanted
from paas.errors import BadInput
from paas.images import runtimes
from paas.oci.config import ImageConfig
from tests.builder.conftest import Bench

pytestmark = pytest.mark.kernel


def dockerfile(*lines: str) -> str:
    return "\n".join(["FROM debian:12", *lines, 'CMD ["x"]'])


def test_files_get_their_place_owner_mode_and_time(bench: Bench) -> None:
    source = bench.source(
        {
            "Dockerfile": dockerfile(
                "COPY a /one",
                "COPY a b* /two/",
                "COPY dir /three",
                "COPY --chown=app:staff --chmod=0700 a /four/x/y",
            ),
            "a": "A",
            "b1": "B1",
            "b2": "B2",
            "dir/sub/c": "C",
            "dir/link@": "sub/c",
        }
    )
    os.utime(source / "a", (1_000_000_000, 1_000_000_000))
    (source / "b1").chmod(0o755)
    image = bench.build(source).image
    assert bench.read(image, "one") == "A"
    assert bench.look(image, "one").stat().st_mtime == 1_000_000_000
    assert [bench.read(image, f"two/{name}") for name in ("a", "b1", "b2")] == ["A", "B1", "B2"]
    assert stat.S_IMODE(bench.look(image, "two/b1").stat().st_mode) == 0o755
    assert bench.read(image, "three/sub/c") == "C"
    assert str(bench.look(image, "three/link").readlink()) == "sub/c"
    made = bench.look(image, "four/x/y").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (1000, 50, 0o700)


def test_a_destination_is_made_like_any_parent_and_what_is_in_a_folder_like_it_was(bench: Bench) -> None:
    """How closed the folder is that a source was unpacked into says nothing of the app."""
    source = bench.source({"Dockerfile": dockerfile("COPY . /all/", "COPY dir /dir"), "dir/a": ""})
    source.chmod(0o700)
    (source / "dir").chmod(0o750)
    image = bench.build(source).image
    modes = [stat.S_IMODE(bench.look(image, name).stat().st_mode) for name in ("all", "all/dir", "dir")]
    assert modes == [0o755, 0o750, 0o755]


def test_dockerignore_is_kept_to(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": dockerfile("COPY . /x/"),
        ".dockerignore": "*\n!keep\n!deep/*/yes\nkeep/secret",
        "keep/a": "",
        "keep/secret": "",
        "deep/in/yes": "",
        "deep/in/no": "",
        "other/no": "",
    }
    image = bench.build(files).image
    top = bench.store.layer_path(image.layers[-1])
    assert sorted(str(p.relative_to(top)) for p in top.rglob("*") if p.is_file()) == [
        "x/deep/in/yes",
        "x/keep/a",
    ]
    assert not (top / "x/other").exists()
    assert "Left out: .dockerignore, Dockerfile, deep, other" in bench.text


def test_a_link_to_a_host_file_stays_a_link(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": dockerfile("COPY . /all/", "COPY shadow up /named/", "COPY inner /inner"),
        "shadow@": "/etc/shadow",
        "up@": "../../../../../../etc/shadow",
        "inner@": "/real",
        "real": "in the source",
    }
    image = bench.build(files).image
    for name in ("all/shadow", "named/shadow"):
        assert str(bench.look(image, name).readlink()) == "/etc/shadow"
    assert str(bench.look(image, "named/up").readlink()).endswith("etc/shadow")
    assert bench.read(image, "inner") == "in the source"


def test_links_in_the_image_lead_nowhere_else(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    depth = "../" * 30
    bench.base(
        "hostile:1",
        {
            "absolute@": str(outside),
            "relative@": f"{depth}{str(outside)[1:]}",
            "etc@": "/var/etc",
            "var/etc/x": "old",
            "tree/link@": str(outside),
            "tree/file@": str(outside / "file"),
            "dangling@": "/not/there",
            "circle@": "circle",
            "list@": "var/etc/x",
        },
    )
    files: dict[str, str | bytes] = {
        "Dockerfile": "FROM hostile:1\nCOPY f /etc/x\nCOPY tree/file /tree/file\nCOPY f /etc/new/\nCMD x",
        "f": "new",
        "tree/file": "file",
    }
    image = bench.build(files).image
    assert bench.read(image, "var/etc/x") == "new"
    assert bench.read(image, "var/etc/new/f") == "new"
    assert bench.look(image, "tree/file").read_text() == "file"
    assert not bench.look(image, "tree/file").is_symlink()
    for line, link in (
        ("COPY f /absolute/f", "absolute"),
        ("COPY f /relative/f", "relative"),
        ("COPY f /dangling/f", "dangling"),
        ("COPY f /circle/f", "circle"),
        ("COPY tree /tree2\nCOPY f /tree/link/f", "tree/link"),
    ):
        says = rf"/{link} is a link to '.*', which leads to nothing in the image; .*: RUN rm /{link}"
        with pytest.raises(BadInput, match=says):
            bench.build({"Dockerfile": f"FROM hostile:1\n{line}\nCMD x", "f": "", "tree/file": ""})
    with pytest.raises(BadInput, match="/list is a link to 'var/etc/x', a file in the image, not a folder"):
        bench.build({"Dockerfile": "FROM hostile:1\nCOPY f /list/f\nCMD x", "f": ""})
    assert list(outside.iterdir()) == []


def test_a_folder_does_not_go_through_a_link(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    bench.base("hostile:1", {"x/sub@": "/etc", "etc/passwd": "old"})
    with pytest.raises(BadInput, match=r"Dockerfile, line 2: COPY a /x/: cannot copy a folder over 'sub'"):
        bench.build({"Dockerfile": "FROM hostile:1\nCOPY a /x/\nCMD x", "a/sub/passwd": "new"})


def test_from_a_stage_that_means_harm(bench: Bench) -> None:
    """Its links are resolved inside it, its owners are kept."""
    base = bench.source(
        {"secret@": "/etc/shadow", "up@": "../../../etc/passwd", "etc/passwd": "own", "tool": "T"}
    )
    os.chown(base / "tool", 1000, 1000)
    (base / "tool").chmod(0o4755)
    info = bench.store.commit_changeset(base)
    bench.store.tag("hostile:1", bench.store.put_image(ImageConfig(diff_ids=(info.diff_id,))).digest)
    copies = [f"COPY --from=hostile:1 {name} /got/" for name in ("secret", "up", "tool")]
    image = bench.build({"Dockerfile": dockerfile(*copies)}).image
    assert str(bench.look(image, "got/secret").readlink()) == "/etc/shadow"
    assert bench.read(image, "got/up") == "own"
    tool = bench.look(image, "got/tool").stat()
    assert (tool.st_uid, tool.st_gid, stat.S_IMODE(tool.st_mode)) == (1000, 1000, 0o4755)


def test_a_sparse_file_stays_sparse(bench: Bench) -> None:
    source = bench.source({"Dockerfile": dockerfile("COPY big /big")})
    with (source / "big").open("wb") as file:
        file.truncate(64 * 1024**2)
        file.seek(32 * 1024**2)
        file.write(b"in the middle")
    upper: list[int] = []
    commit = bench.store.commit_changeset

    def refuse_to_keep(folder: Path, **options: object) -> object:
        upper.append((folder / "big").stat().st_blocks * 512)
        raise BadInput("seen enough")

    bench.store.commit_changeset = refuse_to_keep  # type: ignore[method-assign,assignment]
    with pytest.raises(BadInput, match="seen enough"):
        bench.build(source)
    bench.store.commit_changeset = commit  # type: ignore[method-assign]
    assert upper[0] < 1024**2


def test_a_folder_that_is_there_takes_on_what_is_copied_over_it(bench: Bench) -> None:
    base = bench.source({"x/sub/kept": "", "x/other/f": ""})
    for name in ("x", "x/sub", "x/other"):
        os.chown(base / name, 7, 8)
        (base / name).chmod(0o700)
    info = bench.store.commit_changeset(base)
    bench.store.tag("full:1", bench.store.put_image(ImageConfig(diff_ids=(info.diff_id,))).digest)
    source = bench.source({"Dockerfile": "FROM full:1\nCOPY d /x\nCMD x", "d/sub/f": ""})
    (source / "d/sub").chmod(0o751)
    image = bench.build(source).image
    sub, top = bench.look(image, "x/sub").stat(), bench.look(image, "x").stat()
    assert (sub.st_uid, sub.st_gid, stat.S_IMODE(sub.st_mode)) == (0, 0, 0o751)
    assert (top.st_uid, stat.S_IMODE(top.st_mode)) == (7, 0o700)  # the destination itself stays what it was
    assert not (bench.store.layer_path(image.layers[-1]) / "x/other").exists()


def test_modes_by_letters(bench: Bench) -> None:
    lines = ["COPY --chmod=u=rwX,go=rX d /a", "COPY --chmod=+x d/f /b/", "COPY --chmod=go= d /c"]
    source = bench.source({"Dockerfile": dockerfile(*lines), "d/f": "", "d/sub/run": "", "d/l@": "f"})
    for name, mode in (("d/f", 0o640), ("d/sub", 0o700), ("d/sub/run", 0o711)):
        (source / name).chmod(mode)
    image = bench.build(source).image
    names = ("a/f", "a/sub", "a/sub/run", "b/f", "c/f", "c/sub", "c")
    modes = [stat.S_IMODE(bench.look(image, name).stat().st_mode) for name in names]
    assert modes == [0o644, 0o755, 0o755, 0o751, 0o600, 0o700, 0o755]
    assert bench.look(image, "a/l").is_symlink()


def test_a_wildcard_may_fit_nothing_as_long_as_something_is_copied(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": dockerfile("COPY lock* package.json no* /x/"),
        "package.json": "{}",
    }
    assert bench.read(bench.build(files).image, "x/package.json") == "{}"


def test_parents_are_kept_from_the_pivot_on(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": dockerfile(
            "COPY --parents x/a.txt y/b /all/",
            "COPY --parents ./x/./sub/*.txt /pivot/",
            "COPY --parents **/*.txt /deep/",
            "COPY --parents packages/*/package.json /ws",
        ),
        "x/a.txt": "xa",
        "x/sub/c.txt": "xc",
        "x/sub/c.md": "",
        "y/b/f": "yf",
        "packages/one/package.json": "1",
        "packages/two/package.json": "2",
    }
    image = bench.build(files).image
    for name in ("all", "pivot", "deep", "ws"):
        assert (
            tree(bench.look(image, name))
            == {
                "all": ["x/a.txt", "y/b/f"],
                "pivot": ["sub/c.txt"],
                "deep": ["x/a.txt", "x/sub/c.txt"],
                "ws": ["packages/one/package.json", "packages/two/package.json"],
            }[name]
        )


def test_what_is_excluded_is_neither_copied_nor_counted(bench: Bench) -> None:
    lines = ["COPY --exclude=*.md --exclude=**/tmp --exclude=sub/no d a.md a.txt /x/"]
    source = bench.source(
        {
            "Dockerfile": dockerfile(*lines),
            **dict.fromkeys(("a.md", "a.txt", "d/b.md", "d/f", "d/sub/c.md", "d/sub/tmp/t", "d/sub/no/t"), ""),
        }
    )
    assert tree(bench.look(bench.build(source).image, "x")) == ["a.txt", "f", "sub/c.md"]
    (source / "d/b.md").write_text("changed")
    assert bench.build(source).steps_cached == 1
    (source / "d/sub/c.md").write_text("changed")
    assert bench.build(source).steps_cached == 0


def test_a_dockerfile_may_have_a_dockerignore_of_its_own(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "berth.toml": '[build]\ndockerfile = "deploy/app.Dockerfile"',
        "deploy/app.Dockerfile": dockerfile("COPY . /x/"),
        "deploy/app.Dockerfile.dockerignore": "*\n!f",
        ".dockerignore": "f",
        "f": "",
        "g": "",
    }
    assert tree(bench.look(bench.build(files).image, "x")) == ["f"]
    assert "Read: berth.toml, .dockerignore\n" in bench.text
    assert "Read: deploy/app.Dockerfile, deploy/app.Dockerfile.dockerignore\n" in bench.text


def test_a_folder_of_a_users(bench: Bench) -> None:
    image = bench.build(
        {"Dockerfile": dockerfile("USER app:staff", "WORKDIR /w/x", "COPY f .", "WORKDIR /app"), "f": ""}
    ).image
    owners = [
        (found.st_uid, found.st_gid)
        for name in ("w", "w/x", "w/x/f")
        for found in [bench.look(image, name).stat()]
    ]
    assert owners == [(1000, 50), (1000, 50), (0, 0)]
    assert bench.look(image, "app").stat().st_uid == 0  # it was there
    with pytest.raises(BadInput, match=r"Dockerfile, line 3: WORKDIR /x: owner 'nobody'"):
        bench.build({"Dockerfile": dockerfile("USER nobody", "WORKDIR /x")})


def tree(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["COPY nothing /x"], "Dockerfile, line 2: COPY nothing /x: 'nothing' is not there"),
        (["COPY secret /x"], "left out by .dockerignore"),
        (["COPY secret.not-sent /x"], "is not there: .dockerignore keeps it out"),
        (["COPY *.none /x"], "is not there"),
        (["COPY --chown=nobody:nogroup a /x"], "'nobody' is not in the image's /etc/passwd"),
        (["COPY --chown=70000 a /x"], "70000 is too large"),
        (["COPY a /app"], None),
        (["COPY a /etc/passwd/x"], "/etc/passwd is a file in the image, not a folder"),
        (["COPY a /b", "COPY dir /b"], "/b is a file in the image, not a folder"),
        (["COPY dir2 /x", "COPY a dir /x/"], "cannot copy a file over the folder 'a'"),
    ],
)
def test_what_cannot_be_copied_says_why(bench: Bench, lines: list[str], words: str | None) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": dockerfile(*lines),
        ".dockerignore": "secret*",
        "a": "",
        "secret": "",
        "dir/b": "",
        "dir2/a/b": "",
    }
    if words is None:
        bench.build(files)
        return
    with pytest.raises(BadInput) as caught:
        bench.build(files)
    assert words in str(caught.value)
    assert not list((bench.folder / "rootfs").glob("*/root/*"))


def test_a_name_that_is_no_utf8(bench: Bench) -> None:
    source = bench.source({"Dockerfile": dockerfile("COPY dir /x/")})
    (source / "dir").mkdir()
    Path(os.fsdecode(os.fsencode(source) + b"/dir/\xff\n")).write_text("odd")
    image = bench.build(source).image
    assert (Path(os.fsdecode(os.fsencode(bench.look(image, "x")) + b"/\xff\n"))).read_text() == "odd"


@pytest.mark.parametrize("after", [10, 30, 60], ids=["hashing", "copying", "committing"])
def test_cancelling_leaves_nothing(bench: Bench, after: int) -> None:
    looks = itertools.count()

    def look() -> None:
        demand_wanted(lambda: next(looks) > after)

    files: dict[str, str | bytes] = {"Dockerfile": dockerfile("COPY . /x/")}
    files |= {f"f{n}": "" for n in range(20)}
    before = set((bench.folder / "store/layers").iterdir())
    bench.sandbox.look = look
    with pytest.raises(BuildCancelled):
        bench.build(files)
    assert set((bench.folder / "store/layers").iterdir()) == before


def test_cancelling_while_another_build_makes_the_language(bench: Bench) -> None:
    maker = runtimes._one_maker(bench.store, "berth/node:18", pytest.fail, pytest.fail)
    with maker, pytest.raises(BuildCancelled):
        bench.build({"Dockerfile": "FROM berth/node:18\n"}, cancelled=lambda: True)
    assert "berth/node:18 is being made: waiting for it" in bench.text
