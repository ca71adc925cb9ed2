"""Each command against a real server: what it prints, what it leaves, how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from paas import swap_there
from tenants.apps.models import App, ConfigVar
from tenants.containers import observations as containers
from tenants.containers.models import Container
from tenants.inspections.models import Inspection
from tenants.releases import unchanged
from tenants.releases.actions import cancel_build
from tenants.releases.models import Build, Release, Source
from tests.cli.berth import ROOT, Berth, Worker
from tests.web.cast import Cast, make_build, make_container
from tests.web.seed_inside import ANSWERS, PROVENANCE
from tests.web.test_deploy_again import start


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "shop"
    path.mkdir()
    (path / "app.py").write_text("print('hello')\n")
    (path / ".gitignore").write_text("secret.env\n")
    (path / "secret.env").write_text("TOKEN=1\n")
    (path / ".berth").write_text("demo/shop\n")
    return path


def test_login_checks_the_token_and_keeps_it_for_this_user_only(berth: Berth, cast: Cast) -> None:
    wrong = berth.run("login", berth.url, "--token", "berth_wrong")
    assert wrong.returncode == 1 and "needs a valid API token" in wrong.stderr and not wrong.stdout
    assert berth.run("apps").returncode == 1
    berth.sign_in(cast.owner)
    kept = berth.home / ".config/berth/login.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "demo/shop" in berth.run("apps").stdout
    assert json.loads(berth.run("apps", "--json").stdout)[0]["name"] == "shop"


def test_the_saved_token_is_not_sent_to_another_address(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.owner)
    berth.env["BERTH_URL"] = "http://elsewhere.localhost:1"
    refused = berth.run("apps")
    assert refused.returncode == 1 and "there is no token for http://elsewhere.localhost:1" in refused.stderr


def test_a_server_that_is_not_there_is_told_plainly(berth: Berth) -> None:
    gone = berth.run("login", "http://berth.localhost:1", "--token", "berth_x")
    assert gone.returncode == 1 and "cannot reach http://berth.localhost:1" in gone.stderr
    assert "Traceback" not in gone.stderr
    assert "is not an address" in berth.run("login", "berth", "--token", "x").stderr


def test_create_links_the_folder(berth: Berth, cast: Cast, tmp_path: Path) -> None:
    berth.sign_in(cast.developer)
    made = berth.run("create", "api", cwd=tmp_path)
    assert made.returncode == 0 and "http://api-demo.localhost:8080" in made.stdout
    assert (tmp_path / ".berth").read_text() == "demo/api\n"
    again = berth.run("create", "demo/api", cwd=tmp_path)
    assert again.returncode == 1 and "there is an app demo/api already" in again.stderr
    assert "Choose another name." in again.stderr


def test_deploy_packs_streams_the_log_and_waits_until_live(
    berth: Berth, cast: Cast, worker: Worker, folder: Path
) -> None:
    berth.sign_in(cast.developer)
    done = berth.run("deploy", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Detected Python.",
        "Größe: red",
        "v2 is live at http://shop-demo.localhost:8080",
    ]
    source = Source.objects.latest("created_at")
    with tarfile.open(settings.PATHS.sources / source.pk) as archive:
        assert sorted(archive.getnames()) == [".gitignore", "app.py"]
    assert source.name == "shop"


def test_a_private_app_is_live_where_its_tenants_containers_reach_it(
    berth: Berth, cast: Cast, worker: Worker, folder: Path
) -> None:
    berth.sign_in(cast.developer)
    done = berth.run("deploy", str(folder.rename(folder.with_name("hidden"))))
    assert done.stdout.splitlines()[-1] == "v2 is live at http://shop.internal (private)", done.stderr


def test_a_folder_that_the_server_has_is_not_sent_again(
    berth: Berth, cast: Cast, worker: Worker, folder: Path
) -> None:
    berth.sign_in(cast.developer)
    sources = Source.objects.filter(app=cast.app)
    before = sources.count()
    for changed in (False, False, True):
        if changed:
            (folder / "app.py").write_text("print('bye')\n")
        done = berth.run("deploy", str(folder))
        assert done.returncode == 0, done.stderr
    assert sources.count() == before + 2
    assert [build.source.size for build in Build.objects.filter(app=cast.app)[:3]] == [
        sources.latest("created_at").size,
        *[sources.order_by("-created_at")[1].size] * 2,
    ]


def test_a_deploy_of_what_was_built_says_so_at_once(
    berth: Berth, cast: Cast, worker: Worker, folder: Path
) -> None:
    berth.sign_in(cast.developer)
    assert berth.run("deploy", str(folder)).returncode == 0
    build = Build.objects.latest("created_at")
    key = unchanged.key_of(build.app, build.source)
    Build.objects.filter(pk=build.pk).update(key=key, bases=[])
    start(build.releases.get())
    serves = "Nothing changed: v2 serves just this already. To start it anew: berth restart"
    assert berth.run("deploy", str(folder)).stdout.splitlines() == [
        serves,
        "v2 is live at http://shop-demo.localhost:8080",
    ]
    assert serves in berth.run("deploy", str(folder), "--no-wait").stdout
    assert Build.objects.latest("created_at") == build
    Release.objects.filter(build=build).update(status=Release.Status.FAILED)
    again = berth.run("deploy", str(folder))
    assert again.stdout.splitlines() == [
        "Nothing changed since v2: built from what is here.",
        "v3 is live at http://shop-demo.localhost:8080",
    ]
    Release.objects.filter(version=3).update(status=Release.Status.FAILED)
    assert "Nothing changed since v2: released as v4." in berth.run("deploy", str(folder), "--no-wait").stdout


def test_deploy_with_json_prints_one_object_and_the_log_beside_it(
    berth: Berth, cast: Cast, worker: Worker, folder: Path
) -> None:
    berth.sign_in(cast.developer)
    done = berth.run("deploy", "--json", cwd=folder)
    result = json.loads(done.stdout)
    assert (result["release"]["version"], result["release"]["status"]) == (2, "live")
    assert "Detected Python." in done.stderr


def test_the_reason_of_a_build_that_failed_is_told_once(
    berth: Berth, cast: Cast, worker: Worker, folder: Path
) -> None:
    berth.sign_in(cast.developer)
    failed = berth.run("deploy", str(folder.rename(folder.with_name("broken"))))
    assert failed.stdout.splitlines()[2:] == ["Error: of a step", "Hint: of a step", "goes on", ""]
    assert failed.stderr.splitlines()[-2:] == ["Error: the build failed: pip failed", "Hint: read the log"]


@contextmanager
def begun(berth: Berth, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A command whose output is read while it runs; it has to end within the block."""
    argv = [sys.executable, "-P", "-m", "berth_cli", *args]
    env = {"PATH": os.environ["PATH"], "HOME": str(berth.home), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_deploy_says_that_its_build_waits_and_when_interrupted_that_it_goes_on(
    berth: Berth, cast: Cast, folder: Path
) -> None:
    berth.sign_in(cast.developer)
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "a.js").touch()
    with begun(berth, "deploy", str(folder)) as process:
        assert process.stderr
        build = wait_for_build(cast.app)
        lines = filter(str.strip, process.stderr)
        assert next(lines).startswith("Packed 3 files")
        assert next(lines).startswith("Of that, 1 files (0 B) are in node_modules, which")
        assert next(lines) == f"Build {build.pk} waits for its turn.\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    cancel = f"berth builds cancel {build.pk} --app demo/shop"
    # Rich prints again what it was at when the signal came: the last line counts.
    assert told.splitlines()[-1] == f"The build goes on. To cancel it: {cancel}" and "Traceback" not in told
    assert berth.run(*cancel.split()[1:]).stdout == "Cancelled.\n"


def test_a_deploy_whose_build_was_cancelled_says_so(berth: Berth, cast: Cast, folder: Path) -> None:
    berth.sign_in(cast.developer)
    with begun(berth, "deploy", str(folder)) as process:
        cancel_build(actor=cast.owner, build=wait_for_build(cast.app))
        _, told = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Error: the build was cancelled\n" in told and "no reason" not in told


def wait_for_build(app: App) -> Build:
    end = time.monotonic() + 30
    while (found := Build.objects.filter(app=app, status=Build.Status.QUEUED).first()) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", ("the build failed: pip failed", "Hint: read the log")),
        (
            "silent",
            ("v2 is not live: web.1 was not ready within 60 s", "| Traceback: KeyError", "listen on $PORT"),
        ),
        ("undone", ("v2 is not live: the release command failed", "| no such table: notes", "correct it")),
    ],
)
def test_a_deploy_that_fails_says_why_and_exits_1(
    berth: Berth, cast: Cast, worker: Worker, folder: Path, name: str, said: tuple[str, ...]
) -> None:
    berth.sign_in(cast.developer)
    failed = berth.run("deploy", str(folder.rename(folder.with_name(name))))
    assert failed.returncode == 1
    for text in said:
        assert text in failed.stderr
    assert App.objects.get(pk=cast.app.pk).serving_release_id == cast.app.serving_release_id


def test_config_restart_scale_and_rollback_wait_for_their_release(
    berth: Berth, cast: Cast, worker: Worker, folder: Path
) -> None:
    berth.sign_in(cast.developer)
    cast.app.releases.update(commit="web.1 of v1")
    assert "v2 (Set A, B) is live" in berth.run("config", "set", "A=1=1", "B=", cwd=folder).stdout
    assert berth.run("config", "get", "A", cwd=folder).stdout == "1=1\n"
    assert berth.run("config", cwd=folder).stdout == "A=1=1\nB=\n"
    assert json.loads(berth.run("config", "--json", cwd=folder).stdout) == {"A": "1=1", "B": ""}
    assert "v3 (Unset B) is live" in berth.run("config", "unset", "B", cwd=folder).stdout
    assert "v4 (Scale web=2) is live" in berth.run("scale", "web=2", cwd=folder).stdout
    assert "Nothing had to be restarted" in berth.run("scale", "web=2", cwd=folder).stdout
    assert json.loads(berth.run("restart", "--json", cwd=folder).stdout)["release"]["status"] == "live"
    assert "v6 (Roll back to v1) is live" in berth.run("rollback", "v1", cwd=folder).stdout
    assert not ConfigVar.objects.filter(app=cast.app).exists()
    listed = berth.run("releases", cwd=folder).stdout.splitlines()
    assert len(listed) == 7 and "Roll back to v1" in listed[1] and "retired" in listed[2]
    assert all("commit of web.1 of v1" in line and "no longer kept" not in line for line in listed[1:])
    cast.app.releases.filter(version=1).update(image_gone=True)
    assert "no longer kept" in berth.run("releases", cwd=folder).stdout.splitlines()[-1]
    assert "cannot go back to v1: its image is no longer kept" in berth.run("rollback", "1", cwd=folder).stderr
    cast.app.releases.filter(version=1).update(committed_from="c1", commit="web.1 of v1", status="failed")
    assert berth.run("releases", cwd=folder).stdout.splitlines()[-1].split()[-1] == "none"
    assert "v1 has no image: its commit failed" in berth.run("rollback", "1", cwd=folder).stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("scale", "web"), "'web' is not TYPE=COUNT"),
        (("scale", "wbe=2"), "Did you mean web?"),
        (("rollback", "x1"), "'x1' is not a release"),
        (("rollback", "9"), "has no release v9"),
        (("config", "set", "A"), "'A' is not NAME=VALUE"),
        (("config", "set", "PORT=1"), "PORT is set by Berth itself"),
        (("config", "get", "NOPE"), "has no config var NOPE"),
        (("apps", "--app"), ""),
        (("releases", "--app", "demo/"), "is not TENANT/APP"),
        (("releases", "--app", "other/blog"), "there is no app other/blog here"),
        (("destroy", "--confirm", "sho"), "nothing was destroyed"),
        (("builds", "cancel"), "ended already"),
        (("sleep", "--after", "soon"), "after=soon is not a time that is allowed"),
    ],
)
def test_mistakes_are_told_on_stderr_with_exit_status(
    berth: Berth, cast: Cast, folder: Path, args: tuple[str, ...], said: str
) -> None:
    berth.sign_in(cast.owner)
    wrong = berth.run(*args, cwd=folder)
    assert wrong.returncode == (1 if said else 2) and not wrong.stdout
    assert said in wrong.stderr and "Traceback" not in wrong.stderr


def test_which_app_is_asked_for_when_nothing_says_so(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.owner)
    assert "which app?" in berth.run("ps").stderr
    berth.env["BERTH_APP"] = "shop"
    assert berth.run("ps").returncode == 0


def test_a_read_token_reads_and_changes_nothing(berth: Berth, cast: Cast, folder: Path) -> None:
    berth.sign_in(cast.owner, scope="read")
    assert berth.run("releases", cwd=folder).returncode == 0
    refused = berth.run("restart", cwd=folder)
    assert refused.returncode == 1 and "can only read" in refused.stderr


def test_ps_and_logs(berth: Berth, cast: Cast, folder: Path) -> None:
    berth.sign_in(cast.viewer)
    release = Release.objects.get(app=cast.app)
    row = containers.new_container(
        app=cast.app,
        release=release,
        build=None,
        kind=Container.Kind.PROCESS,
        process_type="web",
        index=1,
        memory_limit=1 << 28,
    )
    containers.started(row)
    containers.ready(row)
    log = settings.PATHS.container_log(row.pk)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("2026-01-01T00:00:01.000000001+00:00 stdout F \x1b]0;x\x07hello\n")
    assert berth.run("ps", cwd=folder).stdout.splitlines()[1].split() == [
        "web.1",
        "ready",
        "v1",
        *["0", "B", "of", "256", "MiB", "0", "%"],
    ]
    containers.processes_killed(row, 2)
    killed = berth.run("ps", cwd=folder)
    assert "2 processes were killed: out of memory, last 20" in killed.stdout
    assert "berth.toml" in killed.stderr
    containers.fell_asleep(row, since=timezone.now(), used=0, left=0)
    assert berth.run("ps", cwd=folder).stdout.splitlines()[1].split()[1] == "asleep"
    assert berth.run("logs", cwd=folder).stdout == "2026-01-01 00:00:01 web.1 hello\n"
    assert json.loads(berth.run("logs", "--json", "-n", "5", cwd=folder).stdout)["container"] == "web.1"


def test_ps_tells_why_what_should_run_could_not_start(berth: Berth, cast: Cast, folder: Path) -> None:
    berth.sign_in(cast.viewer)
    release = Release.objects.get(app=cast.app)
    kind = Container.Kind.PROCESS
    for name, index in (("web", 1), ("web", 1), ("web", 2), ("worker", 1)):
        row = containers.new_container(
            app=cast.app,
            release=release,
            build=None,
            kind=kind,
            process_type=name,
            index=index,
            memory_limit=1 << 28,
        )
        if (name, index) == ("web", 2):
            containers.started(row)
        elif name == "web":
            why = "could not start: its disk is full"
            containers.stopped(row, exit_code=None, exit_signal=None, oom_killed=False, reason=why)
        else:
            containers.started(row)
            containers.stopped(row, exit_code=1, exit_signal=None, oom_killed=False, reason="exited")
    shown = [" ".join(line.split()) for line in berth.run("ps", cwd=folder).stdout.splitlines()[1:]]
    assert [line.split()[:2] for line in shown] == [["web.2", "running"], ["web.1", "stopped"]]
    assert shown[1].endswith("0 % could not start: its disk is full")


def test_an_app_s_own_idle_time_is_written_as_in_berth_toml(berth: Berth, cast: Cast, folder: Path) -> None:
    berth.sign_in(cast.developer)
    saved = berth.run("sleep", "--after", "2h", "--json", cwd=folder)
    assert json.loads(saved.stdout) == {"after": 7200, "missing": swap_there.missing()}


def test_sleep_waits_and_says_what_sleeps_and_what_is_in_use(berth: Berth, cast: Cast, folder: Path) -> None:
    berth.sign_in(cast.developer)
    release = Release.objects.get(app=cast.app)
    App.objects.filter(pk=cast.app.pk).update(serving_release_id=release.pk)
    rows = [make_container(cast.app) for _ in range(2)]
    for index, row in enumerate(rows, 1):
        Container.objects.filter(pk=row.pk).update(process_type="web", index=index, status="running")
    ordered = App.objects.filter(pk=cast.app.pk, sleep_order="sleep")
    for asleep, said in (
        (0, "In use, so they stay awake: web.1, web.2.\n"),
        (1, "Asleep: web.1.\nIn use, so it stays awake: web.2.\n"),
        (2, "Asleep: web.1, web.2.\n"),
    ):
        with begun(berth, "sleep", "--app", "demo/shop") as process:
            end = time.monotonic() + 30
            while not ordered.exists():
                assert time.monotonic() < end
                time.sleep(0.05)
            for row in rows[:asleep]:
                containers.fell_asleep(row, since=timezone.now(), used=0, left=0)
            ordered.update(sleep_order="")
            assert process.communicate(timeout=30)[0] == said
    done = berth.run("sleep", "--no-wait", cwd=folder)
    assert done.stdout == "What is not in use falls asleep.\n"


@pytest.mark.parametrize("kind", ["without", "with"])
def test_a_machine_without_swap_says_so_where_sleep_is_asked_for(
    berth: Berth, cast: Cast, folder: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename\tType\n" + ("/swap\tfile\n" if kind == "with" else ""))
    monkeypatch.setattr(swap_there, "SWAPS", swaps)
    berth.sign_in(cast.developer)
    told = berth.run("sleep", "--after", "2h", cwd=folder)
    assert ("bin/up --swap auto" in told.stderr) == (kind == "without"), told
    assert told.stdout.strip() == "Saved."


def test_builds_can_be_listed_and_cancelled(berth: Berth, cast: Cast, folder: Path) -> None:
    berth.sign_in(cast.developer)
    build = make_build(cast.app, cast.developer)
    assert build.pk in berth.run("builds", "list", cwd=folder).stdout
    assert "Cancelled." in berth.run("builds", "cancel", cwd=folder).stdout
    assert Build.objects.get(pk=build.pk).status == Build.Status.CANCELLED


def test_open_and_destroy(berth: Berth, cast: Cast, folder: Path) -> None:
    berth.sign_in(cast.owner)
    assert json.loads(berth.run("open", "--json", cwd=folder).stdout) == {"address": cast.app.address}
    done = berth.run("destroy", cwd=folder, stdin="shop\n")
    assert done.returncode == 0, done.stderr
    assert App.objects.get(pk=cast.app.pk).destroyed_at is not None


def test_an_image_shows_its_layers_and_where_it_comes_from(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    release = cast.app.releases.get()
    Inspection.objects.create(
        app=cast.app, kind="image", release=release, status="answered", answer=ANSWERS["image"]
    )
    layers = berth.run("image", "--app", "demo/shop")
    assert "RUN uv pip install" in layers.stdout, layers.stderr
    made = berth.run("image", "v1", "--provenance", "--app", "demo/shop")
    rows = [line.split() for line in made.stdout.splitlines()]
    assert ["base", "image", PROVENANCE["base"]] in rows and ["source", PROVENANCE["source"]] in rows, (
        made.stderr
    )
    assert ["version", "of", "Berth", PROVENANCE["version"]] in rows
    assert ["made", "from", *PROVENANCE["images"][1]] in rows
    for stage in PROVENANCE["recipe"]["stages"]:
        assert ["stage", stage["name"], "FROM", stage["base"], stage["digest"]] in rows
        assert all(step.split() in rows for step in stage["steps"])
    assert ["target", "final"] in rows and ["build", "arg", "VERSION=7"] in rows
    berth.env["COLUMNS"] = "40"
    assert berth.run("image", "v1", "--provenance", "--app", "demo/shop").stdout == made.stdout


def test_an_image_of_before_stages_were_kept_shows_the_steps_of_its_layers(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    made = {key: value for key, value in PROVENANCE.items() if key != "recipe"}
    answer = {**(ANSWERS["image"] or {}), "provenance": made}
    release = cast.app.releases.get()
    Inspection.objects.create(app=cast.app, kind="image", release=release, status="answered", answer=answer)
    shown = berth.run("image", "--provenance", "--app", "demo/shop").stdout
    assert "step              RUN uv pip install -r requirements.txt" in shown.splitlines()
