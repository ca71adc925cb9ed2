"""app.json, heroku.yml and captain-definition: other platforms' files, accepted as they are. Pure.

Sources: Heroku Dev Center, "app.json Schema" and "Building Docker Images with heroku.yml"; CapRover's
documentation, "Captain Definition File". They fill in what berth.toml and the Procfile do not say. What has no
counterpart here is no error: a note says what was ignored, and what to do instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from paas.builder.buildpacks.shape import json_object, table, text_of
from paas.builder.procfile import MAX_COMMAND, PROCESS_NAME
from paas.builder.tree import Tree
from paas.errors import BadInput

APP_JSON, HEROKU_YML, CAPTAIN = "app.json", "heroku.yml", "captain-definition"
NAMES = (HEROKU_YML, APP_JSON, CAPTAIN)
_MAX = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_MOST_CONTAINERS = 50
_MAX_DEPTH = 20
Pairs = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Manifests:
    """What these files say together; the first of `NAMES` that says a thing wins.

    `dockerfile` is a path, `dockerfile_text` a whole Dockerfile written in another file; `dockerfile_from` is
    where either was found. `counts` are containers by process type.
    """

    files: list[str] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    release: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    build_args: dict[str, str] = field(default_factory=dict)
    dockerfile: str = ""
    dockerfile_text: str = ""
    dockerfile_from: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def has_dockerfile(self) -> bool:
        return bool(self.dockerfile or self.dockerfile_text)

    def note(self, file: str, text: str) -> None:
        self.notes.append(f"{file}: {text}")

    def say_dockerfile(self, file: str, *, path: str = "", text: str = "") -> None:
        if self.has_dockerfile:
            self.note(file, f"its Dockerfile is ignored, for {self.dockerfile_from} names one")
            return
        self.dockerfile, self.dockerfile_text, self.dockerfile_from = _inside(file, path), text, file


def read(source: Tree) -> Manifests:
    """Raises BadInput with the line of what is no JSON or YAML, and with the key of what cannot be right."""
    found = Manifests()
    for name, reader in ((HEROKU_YML, _heroku_yml), (APP_JSON, _app_json), (CAPTAIN, _captain)):
        text = source.text(name, _MAX)
        if text is not None:
            found.files.append(name)
            reader(text, found)
    return found


# --- heroku.yml
def _heroku_yml(text: str, found: Manifests) -> None:
    document = _yaml(text, HEROKU_YML)
    build = table(document, "build")
    docker = table(build, "docker")
    web = text_of(docker, "web") or next((value for value in docker.values() if isinstance(value, str)), "")
    if web:
        found.say_dockerfile(HEROKU_YML, path=web)
    for name, path in docker.items():
        if path != web:
            found.note(HEROKU_YML, f"build.docker.{name} is ignored: an app has one image, that of {web}")
    found.build_args.update(_texts(HEROKU_YML, "build.config", table(build, "config")))
    for name, value in table(document, "run").items():
        command = value.get("command") if isinstance(value, dict) else value
        found.commands[_process(HEROKU_YML, f"run.{name}", name)] = _command(HEROKU_YML, f"run.{name}", command)
    if "release" in document:
        found.release = _command(HEROKU_YML, "release.command", table(document, "release").get("command"))
    setup = table(document, "setup")
    for name, value in _texts(HEROKU_YML, "setup.config", table(setup, "config")).items():
        found.env.setdefault(name, value)
    _note_addons(HEROKU_YML, setup.get("addons"), found)
    for key in ("packages", "languages", "pipelines"):
        if key in build:
            found.note(HEROKU_YML, f"build.{key} is ignored")


def _yaml(text: str, name: str) -> dict[str, Any]:
    try:
        _require_simple(text, name)
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        _wrong(
            name, mark.line + 1 if mark else 1, str(getattr(error, "problem", "") or "is no YAML"), "mend it"
        )
    if not isinstance(document, dict | None):
        _wrong(name, 1, "is not a mapping", "begin with `build:`")
    return document or {}


def _require_simple(text: str, name: str) -> None:
    """A few lines of aliases can stand for gigabytes, and PyYAML takes minutes over a few thousand brackets."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            _wrong(name, line, "aliases (`*name`) are not allowed", "write it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            _wrong(name, line, f"is nested deeper than {_MAX_DEPTH}", "flatten it")


# --- app.json
def _app_json(text: str, found: Manifests) -> None:
    document = json_object(text, APP_JSON)
    for name, facts in table(document, "env").items():
        _variable(name, facts, found)
    for name, facts in table(document, "formation").items():
        quantity = facts.get("quantity") if isinstance(facts, dict) else None
        if type(quantity) is int and 0 <= quantity <= _MOST_CONTAINERS:
            found.counts.setdefault(_process(APP_JSON, f"formation.{name}", name), quantity)
    if any(isinstance(facts, dict) and "size" in facts for facts in table(document, "formation").values()):
        found.note(APP_JSON, "formation sizes are ignored: write `memory` and `cpu` in berth.toml")
    after = text_of(table(document, "scripts"), "postdeploy")
    if after:
        found.note(
            APP_JSON,
            f"scripts.postdeploy is not run ({after[:80]}): run it once with `berth run`, or before each "
            "release by [release] command in berth.toml",
        )
    if document.get("buildpacks"):
        found.note(
            APP_JSON, "buildpacks are ignored: Berth has its own, and [build] builder in berth.toml chooses"
        )
    _note_addons(APP_JSON, document.get("addons"), found)


def _variable(name: str, facts: Any, found: Manifests) -> None:
    if not _VARIABLE.fullmatch(name):
        raise BadInput(
            f"{APP_JSON}: env.{name[:60]} is not a variable's name",
            hint="begin with a letter or `_`, then use letters, digits and `_`",
            details={"file": APP_JSON, "key": f"env.{name}"},
        )
    value = facts.get("value") if isinstance(facts, dict) else facts
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        found.env.setdefault(name, _clean(APP_JSON, f"env.{name}", str(value)))
    elif isinstance(facts, dict) and facts.get("generator") == "secret":
        found.note(APP_JSON, f"wants a secret in {name}: `berth config set {name}=…` with a random value")
    elif not isinstance(facts, dict) or facts.get("required", True):
        found.note(APP_JSON, f"wants a value for {name}: `berth config set {name}=…`")


def _note_addons(file: str, addons: Any, found: Manifests) -> None:
    if isinstance(addons, list) and addons:
        names = (
            one if isinstance(one, str) else text_of(one, "plan")
            for one in addons
            if isinstance(one, str | dict)
        )
        found.note(file, f"add-ons are not made: {', '.join(names)[:200]}")


# --- captain-definition
def _captain(text: str, found: Manifests) -> None:
    document = json_object(text, CAPTAIN)
    lines = document.get("dockerfileLines")
    path, image = text_of(document, "dockerfilePath"), text_of(document, "imageName")
    if path:
        found.say_dockerfile(CAPTAIN, path=path)
    elif isinstance(lines, list) and all(isinstance(line, str) for line in lines):
        found.say_dockerfile(CAPTAIN, text="".join(f"{line}\n" for line in lines))
    elif image:
        found.say_dockerfile(CAPTAIN, text=f"FROM {image}\n")
    elif "templateId" in document:
        template = str(document["templateId"])[:60]
        found.note(
            CAPTAIN, f"templateId {template} is CapRover's own Dockerfile; a builder of Berth's is used instead"
        )


# --- values
def _inside(file: str, path: str) -> str:
    clean = path.removeprefix("./")
    if clean.startswith("/") or ".." in clean.split("/") or not clean.isprintable():
        raise BadInput(
            f"{file}: {path[:80]!r} is not a path inside the source",
            hint='write it as "deploy/Dockerfile"',
            details={"file": file},
        )
    return clean


def _process(file: str, key: str, name: Any) -> str:
    if not isinstance(name, str) or not PROCESS_NAME.fullmatch(name):
        raise BadInput(
            f"{file}: {key[:80]}: {str(name)[:60]!r} is not a process type",
            hint="begin with a lower-case letter, then use at most 39 lower-case letters, digits, `-` and `_`",
            details={"file": file, "key": key},
        )
    return name


def _command(file: str, key: str, value: Any) -> str:
    """Text, or a list of commands, which run one after the other."""
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
        raise BadInput(
            f"{file}: {key[:80]} is not a command", hint="write it as text", details={"file": file, "key": key}
        )
    return _clean(file, key, " && ".join(part.strip() for part in parts))


def _clean(file: str, key: str, value: str) -> str:
    if "\0" in value or len(value) > MAX_COMMAND:
        raise BadInput(
            f"{file}: {key[:80]} holds NUL or more than {MAX_COMMAND:,} characters",
            hint="shorten it",
            details={"file": file, "key": key},
        )
    return value


def _texts(file: str, key: str, values: dict[str, Any]) -> dict[str, str]:
    return dict(_text_pairs(file, key, values))


def _text_pairs(file: str, key: str, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(name, str) and _VARIABLE.fullmatch(name) and isinstance(value, str | int | float):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield name, _clean(file, f"{key}.{name}", text)


def _wrong(file: str, line: int, reason: str, hint: str) -> NoReturn:
    raise BadInput(f"{file}, line {line}: {reason}", hint=hint, details={"file": file, "line": line})
