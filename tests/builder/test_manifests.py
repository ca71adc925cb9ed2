"""app.json, heroku.yml and captain-definition, as their owners document them; what the log says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from paas.builder.build import Inputs, make_plan, read_inputs
from paas.builder.buildpacks import Bases
from paas.builder.log import BuildLog
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.images import Store
from tests.builder.planning import planned, source, store_with_names

SITE = {"index.html": ""}
APP_JSON = """{
  "name": "Small Sharp Tool", "description": "x", "repository": "https://example.org", "keywords": ["a"],
  "scripts": {"postdeploy": "bundle exec rake bootstrap", "test": "rspec"},
  "env": {
    "PLAIN": "one", "VALUE": {"description": "d", "value": "two"}, "NUMBER": {"value": 3},
    "SECRET": {"generator": "secret"}, "NEEDED": {"description": "d"}, "OPTIONAL": {"required": false}
  },
  "formation": {"web": {"quantity": 2, "size": "standard-1x"}, "worker": {"quantity": 0},
    "many": {"quantity": 51}},
  "addons": ["heroku-postgresql", {"plan": "heroku-redis:mini", "as": "R"}],
  "buildpacks": [{"url": "heroku/python"}], "stack": "heroku-24",
  "healthchecks": {"web": []}, "environments": {"test": {}}, "image": "heroku/ruby"
}"""
HEROKU_YML = """\
setup:
  addons:
    - plan: heroku-postgresql
      as: DATABASE
  config:
    S3_BUCKET: my-example-bucket
build:
  docker:
    web: Dockerfile.web
    worker: worker/Dockerfile
  config:
    RAILS_ENV: development
    FOO: bar
release:
  command:
    - ./deployment-tasks.sh
    - ./more.sh
  image: worker
run:
  web: bundle exec puma -C config/puma.rb
  worker:
    command:
      - python myworker.py
    image: worker
"""


def inputs(folder: Path, files: dict[str, str]) -> Inputs:
    with Tree(source(folder, files)) as tree:
        return read_inputs(tree, "production")


def test_app_json(store: Store, tmp_path: Path) -> None:
    files = {**SITE, "app.json": APP_JSON, "Procfile": "web: serve\nworker: work\n"}
    _, processes = planned(source(tmp_path, files), store)
    assert [(process.name, process.count) for process in processes] == [("web", 2), ("worker", 0)]
    found = inputs(tmp_path, files)
    assert found.config.env == (("PLAIN", "one"), ("VALUE", "two"), ("NUMBER", "3"))
    notes = "\n".join(found.manifests.notes)
    for words in (
        "SECRET: `berth config set",
        "wants a value for NEEDED",
        "postdeploy is not run (bundle exec rake bootstrap)",
        "sizes are ignored",
        "buildpacks are ignored",
        "add-ons are not made: heroku-postgresql, heroku-redis:mini",
        "app.json: stack is ignored: ",
        "app.json: healthchecks is ignored: write [health]",
        "app.json: environments is ignored: write [stages.<name>]",
        "app.json: image is ignored: ",
        "app.json: scripts.test is ignored",
        "app.json: formation.many is ignored: its quantity is no number from 0 to 50",
    ):
        assert words in notes
    assert "OPTIONAL" not in notes and "keywords" not in notes


def test_heroku_yml(store: Store, tmp_path: Path) -> None:
    files = {
        "heroku.yml": HEROKU_YML,
        "Dockerfile.web": "FROM debian:12\nARG FOO\nCMD x",
        "Dockerfile": "FROM no",
    }
    plan, processes = planned(source(tmp_path, files), store)
    assert plan.builder == "dockerfile"
    assert plan.files_read == ("Dockerfile.web",)
    assert [(process.name, process.args[-1]) for process in processes] == [
        ("web", "exec bundle exec puma -C config/puma.rb"),
        ("worker", "exec python myworker.py"),
    ]
    found = inputs(tmp_path, files)
    assert found.procfile.release == "./deployment-tasks.sh && ./more.sh"
    assert found.config.build.args == (("RAILS_ENV", "development"), ("FOO", "bar"))
    assert found.config.env == (("S3_BUCKET", "my-example-bucket"),)
    assert found.manifests.notes == [
        "heroku.yml: build.docker.worker is ignored: an app has one image, that of web",
        "heroku.yml: run.worker.image is ignored: an app has one image",
        "heroku.yml: release.image is ignored: an app has one image",
        "heroku.yml: add-ons are not made: heroku-postgresql",
    ]


TWO_STAGES = "FROM debian:12 AS one\nCMD 1\nFROM debian:12 AS two\nCMD 2\n"


@pytest.mark.parametrize(
    ("docker", "berth", "command"),
    [
        ("web: {dockerfile: D, target: one}", "", "1"),
        ("release: {target: two}\n    web: {dockerfile: D}", "", "2"),
        ("worker: {dockerfile: D, target: one}", "", "1"),
        ("web: {dockerfile: D, target: one}", "[build]\ntarget = 'two'", "2"),
        ("web: {dockerfile: D, target: one}", "[build]\ndockerfile = 'D'", "2"),
    ],
)
def test_a_stage_of_a_dockerfile_in_heroku_yml(
    store: Store, tmp_path: Path, docker: str, berth: str, command: str
) -> None:
    files = {"heroku.yml": f"build:\n  docker:\n    {docker}\n", "D": TWO_STAGES, "berth.toml": berth}
    plan, _ = planned(source(tmp_path, files), store)
    assert plan.command == ("/bin/sh", "-c", command)


def test_the_dockerfile_of_heroku_yml_copies_from_its_own_folder(store: Store, tmp_path: Path) -> None:
    said: list[bytes] = []
    files = {
        "heroku.yml": "build: {docker: {web: service/Dockerfile}}\n",
        ".dockerignore": "own.txt\n",
        "other.txt": "",
        "service/own.txt": "",
        "service/secret.txt": "",
        "service/.dockerignore": "secret.txt\n",
        "service/Dockerfile": 'FROM scratch\nCOPY . /\nCMD ["/x"]\n',
    }
    folder = source(tmp_path, files)
    with Tree(folder) as tree:
        read = read_inputs(tree, "production")
        log = BuildLog(said.append)
        plan = make_plan(read, tree, Bases(store, "bookworm", log.line, check=lambda: None), log)
        assert [entry.path for entry in tree.walk()] == [".dockerignore", "Dockerfile", "own.txt"]
    assert plan.files_read[-1] == "service/.dockerignore"


@pytest.mark.parametrize("place", ["link", "within", "gone", "file"])
def test_a_dockerfile_in_no_folder_of_the_source(store: Store, tmp_path: Path, place: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    text = f"build: {{docker: {{web: {place}/Dockerfile}}}}\n"
    folder = source(tmp_path, {"heroku.yml": text, "file": ""})
    (folder / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "src" / "inside").mkdir()
    (tmp_path / "src" / "inside" / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (folder / "within").symlink_to("inside")
    with pytest.raises(BadInput):
        planned(folder, store)


def test_what_heroku_yml_says_in_vain(tmp_path: Path) -> None:
    text = (
        "images: x\nbuild: {docker: {web: {}, worker: 3}, languages: [go]}\nrun: {web: {command: a, env: b}}\n"
    )
    assert inputs(tmp_path, {**SITE, "heroku.yml": text}).manifests.notes == [
        "heroku.yml: images is ignored",
        "heroku.yml: build.languages is ignored",
        "heroku.yml: build.docker.web is ignored: it names no Dockerfile",
        "heroku.yml: build.docker.worker is ignored: it names no Dockerfile",
        "heroku.yml: run.web.env is ignored",
    ]


def test_keys_without_end_are_said_in_short(tmp_path: Path) -> None:
    text = json.dumps({f"key{n}": 1 for n in range(2000)})
    notes = inputs(tmp_path, {**SITE, "app.json": text}).manifests.notes
    assert (len(notes), notes[-1]) == (11, "app.json: 1,990 more keys are ignored")


def test_yaml_aliases_and_merge_keys(tmp_path: Path) -> None:
    text = "build:\n  config: &both\n    A: one\n    B: &b two\nsetup:\n  config: {<<: *both, A: mine, C: *b}\n"
    assert dict(inputs(tmp_path, {**SITE, "heroku.yml": text}).config.env) == {
        "A": "mine",
        "B": "two",
        "C": "two",
    }


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 8)
)


@pytest.mark.parametrize(
    ("text", "reads", "base"),
    [
        ('{"schemaVersion": 2, "dockerfilePath": "./deploy/D"}', ("deploy/D",), "debian:12"),
        (
            '{"schemaVersion": 2, "dockerfileLines": ["FROM python:3", "CMD x"]}',
            ("captain-definition",),
            "python:3",
        ),
        ('{"schemaVersion": 2, "imageName": "python:3"}', ("captain-definition",), "python:3"),
    ],
)
def test_captain_definition(store: Store, tmp_path: Path, text: str, reads: tuple[str, ...], base: str) -> None:
    files = {"captain-definition": text, "deploy/D": "FROM debian:12\nCMD x", "Procfile": "web: x", **SITE}
    plan, _ = planned(source(tmp_path, files), store)
    assert (plan.builder, plan.files_read, plan.stages[0].base) == ("dockerfile", reads, base)


def test_a_captain_template_is_left_to_a_builder(store: Store, tmp_path: Path) -> None:
    files = {**SITE, "captain-definition": '{"schemaVersion": 2, "templateId": "node/8.7.0"}'}
    assert planned(source(tmp_path, files), store)[0].builder == "static"
    assert "templateId node/8.7.0" in inputs(tmp_path, files).manifests.notes[0]


def test_berth_toml_wins_then_the_procfile_then_the_others(store: Store, tmp_path: Path) -> None:
    files = {
        "berth.toml": "env.PLAIN = 'mine'\nprocesses.web.count = 3\n[build]\ndockerfile = 'D'\nargs.FOO = '1'",
        "Procfile": "web: mine\n",
        "app.json": APP_JSON,
        "heroku.yml": HEROKU_YML,
        "D": "FROM debian:12\nARG FOO\n",
    }
    plan, (web, worker) = planned(source(tmp_path, files), store)
    assert plan.files_read == ("D",)
    assert (web.args[-1], web.count) == ("exec mine", 3)
    assert (worker.args[-1], worker.count) == ("exec python myworker.py", 0)
    found = inputs(tmp_path, files)
    assert dict(found.config.env)["PLAIN"] == "mine"
    assert dict(found.config.build.args)["FOO"] == "1"
    assert found.files == ("berth.toml", "Procfile", "heroku.yml", "app.json")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("app.json", "{,}", "app.json, line 1: "),
        ("app.json", "[]", "app.json is not a JSON object"),
        ("app.json", '{"env": {"A=B": "x"}}', "env.A=B is not a variable's name"),
        ("app.json", '{"env": {"A": "x\\u0000"}}', "env.A holds NUL"),
        ("app.json", '{"formation": {"Web!": {"quantity": 1}}}', "'Web!' is not a process type"),
        ("heroku.yml", "build: [", "heroku.yml, line 1: "),
        ("heroku.yml", "build:\n\tdocker: x", "heroku.yml, line 2: "),
        ("heroku.yml", "- a", "heroku.yml, line 1: is not a mapping"),
        ("heroku.yml", "a: 1\nb: *x", r"heroku.yml, line 2: `\*x` stands for nothing"),
        ("heroku.yml", "a: &x\n  b: *x", r"heroku.yml, line 2: `\*x` stands for nothing"),
        ("heroku.yml", "a: &x 1\nb: {<<: *x}", "heroku.yml, line 1: expected a mapping"),
        ("heroku.yml", BOMB, "heroku.yml, line 4: stands for more than 10,000 values"),
        ("heroku.yml", MERGE_BOMB, "heroku.yml, line 5: stands for more than 10,000 values"),
        ("heroku.yml", "run: {web: {}}", "run.web is not a command"),
        ("heroku.yml", "build: {docker: {web: ../../etc/passwd}}", "is not a path inside the source"),
        ("heroku.yml", "!!python/object/apply:os.system ['id']", "heroku.yml, line 1"),
        ("heroku.yml", "a: " + "[" * 60_000, "heroku.yml, line 1: is nested deeper than 20"),
        ("heroku.yml", "\n".join(" " * n + "a:" for n in range(300)), "line 21: is nested deeper than 20"),
        ("captain-definition", '{"dockerfilePath": "/etc/passwd"}', "is not a path inside the source"),
        ("captain-definition", "nope", "captain-definition, line 1: "),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        inputs(tmp_path, {**SITE, name: text})


def test_the_log_begins_with_what_was_read_and_what_was_not(store: Store, tmp_path: Path) -> None:
    said: list[bytes] = []
    files = {
        "Procfile": "web: x\nweb y",
        "app.json": '{"buildpacks": [{"url": "x"}]}',
        "requirements.txt": "",
        "package.json": "{}",
        "fly.toml": "",
        ".git/config": "",
    }
    planned(source(tmp_path, files), store, say=said.append)
    assert b"".join(said).decode().splitlines() == [
        "Read: Procfile, app.json",
        "Procfile, line 2: 'web y' is ignored, being no `<process type>: <command>`",
        "app.json: buildpacks are ignored: Berth has its own, and [build] builder in berth.toml chooses",
        "Builder: python (there is requirements.txt)",
        "Read: requirements.txt",
        "Ignored: package.json, fly.toml (another file comes first, or the python builder does not read it)",
        "Left out: .git",
    ]


@pytest.mark.parametrize(
    ("files", "read", "ignored"),
    [
        (("package.json", "yarn.lock", "package-lock.json"), "package.json, package-lock.json", "yarn.lock"),
        (("package.json", ".nvmrc", ".node-version"), "package.json, .nvmrc", ".node-version"),
        (
            ("requirements.txt", "poetry.lock", "uv.lock", ".python-version", "runtime.txt"),
            ".python-version, requirements.txt",
            "uv.lock, poetry.lock, runtime.txt",
        ),
    ],
)
def test_files_that_another_comes_before_are_named(
    store: Store, tmp_path: Path, files: tuple[str, ...], read: str, ignored: str
) -> None:
    said: list[bytes] = []
    content = {".nvmrc": "20", ".node-version": "18", ".python-version": "3.11", "package.json": "{}"}
    planned(
        source(tmp_path, {"Procfile": "web: x", **{name: content.get(name, "") for name in files}}),
        store,
        say=said.append,
    )
    log = b"".join(said).decode()
    assert f"\nRead: {read}\nIgnored: {ignored} (another file comes first, or " in log


@pytest.mark.parametrize(("more", "said"), [({}, True), ({"Procfile": "web: serve\n"}, False)])
def test_a_dockerfile_without_a_command_is_told_of_where_that_counts(
    tmp_path: Path, more: dict[str, str], said: bool
) -> None:
    lines: list[bytes] = []
    store = store_with_names(tmp_path)
    debian = store.image(store.resolve("debian:12"))
    store.tag("debian:12", store.put_image(replace(store.config(debian.digest), cmd=("bash",))).digest)
    planned(source(tmp_path, {"Dockerfile": "FROM debian:12\n", **more}), store, say=lines.append)
    assert (b"Dockerfile has no CMD" in b"".join(lines)) is said
