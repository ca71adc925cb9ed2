"""What of a folder is deployed."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from berth_cli.errors import CliError
from berth_cli.ignore import entries
from berth_cli.output import exact, inert, size, visible
from berth_cli.pack import pack


def tree(root: Path, **content: str) -> Path:
    """Keys are paths with __ for /."""
    for name, text in content.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names(root: Path) -> list[str]:
    return [str(path) for path in entries(root) if (root / path).is_symlink() or not (root / path).is_dir()]


def test_git_and_the_link_file_never_go_along(tmp_path: Path) -> None:
    tree(tmp_path, DOTgit__config="x", lib__DOTgit="gitdir: elsewhere", DOTberth="demo/shop", app="x")
    assert names(tmp_path) == ["app"]


def test_what_a_package_manager_installed_is_told_of_once(tmp_path: Path) -> None:
    tree(
        tmp_path,
        app="x",
        node_modules__one__node_modules__two="x" * 1000,
        node_modules__three="x" * 1048,
        web__node_modules__a="",
        node_modules_of_ours="x",
        env__pyvenvDOTcfg="x" * 1024,
        env__bin__python="",
    )
    packed = pack(tmp_path, io.BytesIO())
    assert packed.files == 7
    assert packed.installed.note() == (
        "Of that, 5 files (3 KiB) are in env, node_modules, web/node_modules, which a build installs anew. "
        "Unless your Dockerfile copies it, leave it out: add env/, node_modules/ to .gitignore."
    )
    (tmp_path / ".gitignore").write_text("env/\nnode_modules/\n")
    assert pack(tmp_path, io.BytesIO()).installed.note() == ""


def test_gitignores_apply_to_their_folder_and_the_deepest_decides(tmp_path: Path) -> None:
    tree(
        tmp_path,
        DOTgitignore="*.log\n/build/\nnode_modules/\n",
        a="",
        xDOTlog="",
        build__out="",
        lib__build__kept="",
        lib__node_modules__x="",
        lib__DOTgitignore="!important.log\nlocal\n",
        lib__importantDOTlog="",
        lib__local="",
        local="",
    )
    assert names(tmp_path) == [
        ".gitignore",
        "a",
        "lib/.gitignore",
        "lib/build/kept",
        "lib/important.log",
        "local",
    ]


def test_ignores_exactly_what_git_ignores(tmp_path: Path) -> None:
    tree(
        tmp_path,
        DOTgitignore="*.py[cod]\n!keep.pyc\n/dist\ndocs/**/*.tmp\nfoo/\n\\#x\ntrail \n**/deep\n",
        aDOTpyc="",
        keepDOTpyc="",
        dist__x="",
        sub__dist__y="",
        docs__a__b__cDOTtmp="",
        docs__dDOTtmp="",
        foo="a file",
        sub__foo__z="",
        sub__deep__q="",
        **{"#x": ""},
    )
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, env=env)
    argv = ["git", "-C", str(tmp_path), "ls-files", "--others", "--exclude-standard"]
    wanted = subprocess.run(argv, check=True, capture_output=True, text=True, env=env).stdout.splitlines()
    assert names(tmp_path) == sorted(wanted, key=lambda name: name.split("/"))


def test_dockerignore_starts_from_the_root_and_can_bring_back(tmp_path: Path) -> None:
    tree(
        tmp_path,
        DOTdockerignore="# notes\ndocs\n!docs/keep.md\n**/*.tmp\nsecret\n./odd/../gone\n*\\.bak\nDockerfile\n",
        Dockerfile="FROM x",
        docs__aDOTmd="",
        docs__keepDOTmd="",
        lib__docs__bDOTmd="",
        lib__xDOTtmp="",
        lib__secret="",
        secret="",
        gone="",
        xDOTbak="",
    )
    assert names(tmp_path) == [".dockerignore", "Dockerfile", "docs/keep.md", "lib/docs/b.md", "lib/secret"]


def test_the_dockerfile_that_berth_toml_names_comes_along_and_its_own_file_says_what_is_ignored(
    tmp_path: Path,
) -> None:
    tree(
        tmp_path,
        berthDOTtoml='[build]\ndockerfile = "./ops/Prod.Dockerfile"\n',
        DOTdockerignore="a*\n",
        **{"ops__Prod.Dockerfile": "FROM x", "ops__other": "", "a1": "", "b1": ""},
    )
    assert names(tmp_path) == [".dockerignore", "b1", "berth.toml", "ops/Prod.Dockerfile", "ops/other"]
    (tmp_path / "ops/Prod.Dockerfile.dockerignore").write_text("b*\nops\n")
    wanted = ["ops/Prod.Dockerfile", "ops/Prod.Dockerfile.dockerignore"]
    assert names(tmp_path) == [".dockerignore", "a1", "berth.toml", *wanted]


@pytest.mark.parametrize("name", ["heroku.yml", "captain-definition"])
def test_where_another_file_may_name_the_dockerfile_the_server_leaves_out(tmp_path: Path, name: str) -> None:
    tree(tmp_path, DOTdockerignore="*\n", a="", **{name.replace(".", "DOT"): ""})
    assert names(tmp_path) == sorted([".dockerignore", "a", name])


@pytest.mark.parametrize(
    "text", ["[build", "build = 1", "[build]\ndockerfile = 2\n", '[build]\ndockerfile = ""']
)
def test_a_berth_toml_that_is_wrong_is_the_servers_to_refuse(tmp_path: Path, text: str) -> None:
    tree(tmp_path, DOTdockerignore="Dockerfile\nberth.toml\n", Dockerfile="", berthDOTtoml=text)
    assert names(tmp_path) == [".dockerignore", "Dockerfile", "berth.toml"]


def test_folders_keep_their_rights_and_empty_ones_come_along(tmp_path: Path) -> None:
    tree(tmp_path, DOTgitignore="*.pyc\n", DOTdockerignore="out\n", lib__DOTkeep="", lib__cache__xDOTpyc="")
    for folder in ("logs/deep", "out/empty"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib").chmod(0o750)
    out = io.BytesIO()
    assert pack(tmp_path, out).files == 3
    with tarfile.open(fileobj=out) as archive:
        folders = {m.name: (oct(m.mode), m.mtime) for m in archive.getmembers() if m.isdir()}
    assert set(folders) == {"lib", "logs", "logs/deep"} and folders["lib"] == ("0o750", 0)
    (tmp_path / "logs/new.pyc").touch()  # another time of the folder, and nothing of it goes along
    again = io.BytesIO()
    pack(tmp_path, again)
    assert again.getvalue() == out.getvalue()


def test_links_stay_links_and_devices_stay_behind(tmp_path: Path) -> None:
    tree(tmp_path, real="text")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to(tmp_path)
    os.link(tmp_path / "real", tmp_path / "second")
    os.mkfifo(tmp_path / "pipe")
    out = io.BytesIO()
    packed = pack(tmp_path, out)
    with tarfile.open(fileobj=out) as archive:
        kinds = {m.name: (m.issym(), m.isreg(), m.uid, m.uname) for m in archive.getmembers()}
        second = archive.extractfile("second")
        assert second is not None and second.read() == b"text"
    assert packed.files == 4
    assert kinds == {
        "folder": (True, False, 0, ""),
        "link": (True, False, 0, ""),
        "real": (False, True, 0, ""),
        "second": (False, True, 0, ""),
    }


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    tree(tmp_path, b="1", a__c="2")
    first, second = io.BytesIO(), io.BytesIO()
    pack(tmp_path, first)
    pack(tmp_path, second)
    assert first.getvalue() == second.getvalue()


def test_what_cannot_be_packed_says_why(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no files to deploy"):
        pack(tmp_path, io.BytesIO())
    with pytest.raises(CliError, match="neither a folder nor a file"):
        pack(tmp_path / "none", io.BytesIO())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x1bcb", "ab"),
        ("\x9b2Jx", "x"),
        ("over\rwrite\x08", "overwrite"),
        ("\u202eevil\u202c", "evil"),
        ("tab\tGröße", "tab\tGröße"),
        ("\x1b]0;never ended", ""),
    ],
)
def test_text_from_apps_cannot_steer_the_terminal(text: str, shown: str) -> None:
    assert inert(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Größe 1", "Größe 1"),
        ("a\n- b\tc\r", r"a\n- b\tc\r"),
        ("\x1b[31mred\x9b0m", r"\x1b[31mred\x9b0m"),
        ("\u202etxt.exe\u2066\u200f", r"\u202etxt.exe\u2066\u200f"),
        ("one\u2028two\x85", r"one\u2028two\x85"),
        (os.fsdecode(b"latin-\xe9"), r"latin-\xe9"),
        ("half \ud83d", r"half \ud83d"),
        ("tag \U000e0041", r"tag \U000e0041"),
        (r"back\slash", r"back\slash"),
    ],
)
def test_what_is_not_seen_of_a_name_is_escaped(value: str, shown: str) -> None:
    assert visible(value) == shown == visible(shown)


@pytest.mark.parametrize(
    ("count", "measured", "chosen"),
    [
        (0, "0 B", "0 B"),
        (1023, "1023 B", "1023 B"),
        (6 << 10, "6 KiB", "6 KiB"),
        (1100 << 20, "1.1 GiB", "1100 MiB"),
        (1536 << 20, "1.5 GiB", "1536 MiB"),
        (40 << 30, "40 GiB", "40 GiB"),
        ((3 << 20) + 1, "3 MiB", "3 MiB"),
    ],
)
def test_bytes_have_a_unit_that_suits_them(count: int, measured: str, chosen: str) -> None:
    assert (size(count), exact(count)) == (measured, chosen)
