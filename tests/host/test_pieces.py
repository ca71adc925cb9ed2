"""Folders, keys, code, stamps, progress: made once, put right when they differ, left alone otherwise."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from paas.host import code, files, folders, keys, run_folder
from paas.host.installation import Installation
from paas.host.progress import Progress
from paas.host.stamp import Stamp
from paas.images import Store
from paas.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
BERTH = 64_000  # any id but root's


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    clone = tmp_path / "clone"
    clone.mkdir()
    for part in code.PARTS:
        (clone / part).mkdir(parents=True) if "." not in part else (clone / part).write_text("print(1)\n")
    (clone / "paas" / "one.py").write_text("ONE = 1\n")
    (clone / "paas" / "__pycache__").mkdir()
    (clone / "paas" / "__pycache__" / "old.pyc").write_text("")
    return Installation(clone, Paths(state=tmp_path / "state", run=tmp_path / "run"))


@pytest.mark.kernel
def test_folders_have_the_least_that_each_process_needs(here: Installation) -> None:
    plan = folders.plan(here, BERTH, BERTH)
    folders.make(plan)
    here.paths.store.chmod(0o777)
    folders.make(plan)
    for folder in plan:
        found = folder.path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (folder.uid, folder.gid, folder.mode)


def test_files_with_foreign_ids_are_out_of_everybodys_reach(here: Installation) -> None:
    """A tenant's setuid file in a layer has id 0 on disk: no other user of the host may reach it."""
    modes = {folder.path: (folder.uid, folder.mode) for folder in folders.plan(here, BERTH, BERTH)}
    for closed in (here.paths.store, here.paths.tenants, here.paths.work):
        assert modes[closed] == (0, 0o700)


@pytest.mark.kernel
def test_names_that_an_older_berth_kept_in_the_store_go_on_meaning_the_same(here: Installation) -> None:
    folders.make(folders.plan(here, BERTH, BERTH))
    old = here.paths.store / "tags"
    old.mkdir()
    (old / "debian%3A12").write_text("sha256:" + "a" * 64)
    for _ in range(2):
        folders.bring_names_out(here.paths)
        assert Store(here.paths.store).resolve("debian:12") == "sha256:" + "a" * 64
    assert not old.exists() and (here.paths.store_names / "debian%3A12").stat().st_mode & 0o777 == 0o644


@pytest.mark.kernel
def test_keys_are_made_once_and_the_web_process_cannot_change_them(here: Installation) -> None:
    folders.make(folders.plan(here, BERTH, BERTH))
    keys.ensure(here, BERTH)
    first = here.field_keys.read_text(), here.secret_key.read_text()
    keys.ensure(here, BERTH)
    assert (here.field_keys.read_text(), here.secret_key.read_text()) == first
    found = here.field_keys.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, BERTH, 0o640)


def test_the_code_is_copied_whole_and_only_when_it_changed(here: Installation) -> None:
    here.paths.state.mkdir()
    first = code.install(here.clone, here.code)
    inode = here.code.stat().st_ino
    assert code.install(here.clone, here.code) == first
    assert here.code.stat().st_ino == inode
    assert not list(here.code.rglob("old.pyc"))
    (here.clone / "examples" / ".berth").write_text("demo/mine\n")  # somebody deployed an example from there
    assert code.install(here.clone, here.code) == first

    (here.clone / "paas" / "one.py").unlink()
    assert code.install(here.clone, here.code) != first
    assert not (here.code / "paas" / "one.py").exists()
    assert {entry.name for entry in here.paths.state.iterdir()} == {"code"}


@pytest.mark.kernel
def test_a_file_is_replaced_whole_and_never_through_a_link(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "file"
    victim.write_text("kept")
    (tmp_path / "file.new").symlink_to(victim)
    files.write(target, "new")
    assert (victim.read_text(), target.read_text(), target.stat().st_mode & 0o777) == ("kept", "new", 0o600)


def test_a_stamp_matches_only_the_same_inputs(tmp_path: Path) -> None:
    stamp = Stamp.of(tmp_path / "s", "a", "bc")
    assert not stamp.matches()
    stamp.set()
    assert Stamp.of(tmp_path / "s", "a", "bc").matches()
    assert not Stamp.of(tmp_path / "s", "ab", "c").matches()


def test_progress_in_plain_lines() -> None:
    out = io.StringIO()
    progress = Progress(out)
    with progress.step("Base image") as note:
        note("unpacking")
    with pytest.raises(OSError, match="full"), progress.step("Database"):
        raise OSError("full")
    lines = out.getvalue().splitlines()
    assert lines[0] == "    unpacking"
    assert [line.rsplit("  ", 1)[0] for line in lines[1:]] == ["  ✓ Base image", "  ✗ Database"]


def test_mounts_below_a_folder_in_the_order_they_were_made() -> None:
    text = "\n".join(
        f"{number} 1 0:1 / {point} rw - tmpfs none rw"
        for number, point in enumerate(
            ["/", "/run/berth/ns", "/run/berth/ns/mount", "/run/berths", "/run/a\\040b"]
        )
    )
    assert run_folder.mounted_below(Path("/run/berth"), text) == [
        Path("/run/berth/ns"),
        Path("/run/berth/ns/mount"),
    ]


@pytest.mark.kernel
def test_check_on_a_machine_without_python_says_so(tmp_path: Path) -> None:
    """Here it is covered, in a mount namespace of its own."""
    script = "mount --bind /dev/null $(readlink -f /usr/bin/python3); exec bin/up --check"
    argv = ["unshare", "--mount", "--propagation", "private", "--", "bash", "-c", script]
    env = {"PATH": os.environ["PATH"], "BERTH_STATE": str(tmp_path / "nothing")}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: python3 is not installed\n  Run: apt-get install python3\n"
