"""app.json, heroku.yml and captain-definition: other platforms' files, accepted as they are. Pure.

Sources: Heroku Dev Center, "app.json Schema" and "Building Docker Images with heroku.yml"; CapRover's
documentation, "Captain Definition File". They fill in what berth.toml and the Procfile do not say. What has no
counterpart here is no error: a note says what was ignored, and what to do instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from paas.builder import plain_yaml
from paas.builder.buildpacks.shape import json_object, table, text_of
from paas.builder.procfile import MAX_COMMAND, PROCESS_HINT, PROCESS_NAME
from paas.builder.tree import Tree
from paas.errors import BadInput
from paas.specs import MOST_OF_A_TYPE

APP_JSON, HEROKU_YML, CAPTAIN = "app.json", "heroku.yml", "captain-definition"
NAMES = (HEROKU_YML, APP_JSON, CAPTAIN)
_MAX = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_MOST_NOTES = 10
_ABOUT = ("name", "description", "keywords", "website", "repository", "logo", "success_url", "$schema")
_INSTEAD = {
    "healthchecks": "write [health] in berth.toml",
    "environments": "write [stages.<name>] in berth.toml",
    "stack": "Berth's images are Debian's, and the version of the language decides which",
    "image": "write it after FROM in a Dockerfile",
}


@dataclass(slots=True)
class Manifests:
    """What these files say together; the first of `NAMES` that says a thing wins.

    `dockerfile` is a path, `dockerfile_text` a whole Dockerfile written in another file; `dockerfile_from` is
    where either was found, `dockerfile_target` the stage to stop at, `context` the folder that it copies from,
    "" for all of the source. `counts` are containers by process type, `env_from` is where each of `env`
    was found.
    """

    files: list[str] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    release: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    env_from: dict[str, str] = field(default_factory=dict)
    build_args: dict[str, str] = field(default_factory=dict)
    dockerfile: str = ""
    dockerfile_text: str = ""
    dockerfile_from: str = ""
    dockerfile_target: str = ""
    context: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def has_dockerfile(self) -> bool:
        return bool(self.dockerfile or self.dockerfile_text)

    def note(self, file: str, text: str) -> None:
        self.notes.append(f"{file}: {text}")

    def note_unread(self, file: str, keys: dict[str, Any], read: tuple[str, ...], inside: str = "") -> None:
        """One note for each of `keys` that is not among those that are read."""
        unread = [f"{inside}{str(key)[:60]}" for key in keys if key not in read]
        for key in unread[:_MOST_NOTES]:
            self.note(file, f"{key} is ignored" + (f": {_INSTEAD[key]}" if key in _INSTEAD else ""))
        if len(unread) > _MOST_NOTES:
            self.note(file, f"{len(unread) - _MOST_NOTES:,} more keys are ignored")

    def say_env(self, file: str, name: str, value: str) -> None:
        self.env_from.setdefault(name, file)
        if self.env.setdefault(name, value) != value:
            self.note(file, f"its {name} is ignored, for {self.env_from[name]} sets it")

    def say_dockerfile(self, file: str, *, path: str = "", text: str = "", target: str = "") -> None:
        if self.has_dockerfile:
            self.note(file, f"its Dockerfile is ignored, for {self.dockerfile_from} names one")
            return
        self.dockerfile, self.dockerfile_text, self.dockerfile_from = _inside(file, path), text, file
        self.dockerfile_target = target


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
    document = plain_yaml.mapping(text, HEROKU_YML, "build:")
    found.note_unread(HEROKU_YML, document, ("setup", "build", "release", "run"))
    build = table(document, "build")
    found.note_unread(HEROKU_YML, build, ("docker", "config"), "build.")
    image = _heroku_docker(table(build, "docker"), found)
    found.build_args.update(_texts(HEROKU_YML, "build.config", table(build, "config")))
    for name, value in table(document, "run").items():
        key = f"run.{name}"
        found.commands[_process(HEROKU_YML, key, name)] = _heroku_command(value, key, key, image, found)
    if "release" in document:
        release = table(document, "release")
        found.release = _heroku_command(release, "release", "release.command", image, found)
    setup = table(document, "setup")
    found.note_unread(HEROKU_YML, setup, ("addons", "config"), "setup.")
    for name, value in _texts(HEROKU_YML, "setup.config", table(setup, "config")).items():
        found.say_env(HEROKU_YML, name, value)
    _note_addons(HEROKU_YML, setup.get("addons"), found)


def _heroku_docker(docker: dict[str, Any], found: Manifests) -> str:
    """The process type whose Dockerfile is the app's: a path, or `dockerfile` and `target`. "" without one."""
    files: dict[str, tuple[str, str]] = {}
    for name, value in docker.items():
        facts = value if isinstance(value, dict) else {"dockerfile": value}
        path = text_of({"dockerfile": "Dockerfile"} | facts, "dockerfile")
        if path and facts:
            files[name] = path, text_of(facts, "target")
        else:
            found.note(HEROKU_YML, f"build.docker.{str(name)[:60]} is ignored: it names no Dockerfile")
        found.note_unread(HEROKU_YML, facts, ("dockerfile", "target"), f"build.docker.{str(name)[:60]}.")
    image = "web" if "web" in files else next(iter(files), "")
    if image:
        path, target = files.pop(image)
        found.say_dockerfile(HEROKU_YML, path=path, target=target)
        found.context = found.dockerfile.rpartition("/")[0]  # as on Heroku: the folder that it lies in
        for name, other in files.items():
            if other != (path, target):
                reason = f"an app has one image, that of {image}"
                found.note(HEROKU_YML, f"build.docker.{str(name)[:60]} is ignored: {reason}")
    return image


def _heroku_command(value: Any, where: str, key: str, image: str, found: Manifests) -> str:
    """Of `value`, which is a command or has one; `key` is what an error names."""
    if not isinstance(value, dict):
        return _command(HEROKU_YML, key, value)
    found.note_unread(HEROKU_YML, value, ("command", "image"), f"{where[:80]}.")
    if value.get("image", image) != image:
        found.note(HEROKU_YML, f"{where[:80]}.image is ignored: an app has one image")
    return _command(HEROKU_YML, key, value.get("command"))


# --- app.json
def _app_json(text: str, found: Manifests) -> None:
    document = json_object(text, APP_JSON)
    read = ("env", "formation", "scripts", "addons", "buildpacks")
    found.note_unread(APP_JSON, document, (*read, *_ABOUT))
    for name, facts in table(document, "env").items():
        _variable(name, facts, found)
    _formation(table(document, "formation"), found)
    found.note_unread(APP_JSON, table(document, "scripts"), ("postdeploy",), "scripts.")
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


def _formation(formation: dict[str, Any], found: Manifests) -> None:
    for name, facts in formation.items():
        quantity = facts.get("quantity", 1) if isinstance(facts, dict) else None
        if type(quantity) is int and 0 <= quantity <= MOST_OF_A_TYPE:
            if "quantity" in facts:
                found.counts.setdefault(_process(APP_JSON, f"formation.{name}", name), quantity)
        else:
            reason = f"its quantity is no number from 0 to {MOST_OF_A_TYPE}"
            found.note(APP_JSON, f"formation.{name[:60]} is ignored: {reason}")
    if any(isinstance(facts, dict) and "size" in facts for facts in formation.values()):
        found.note(APP_JSON, "formation sizes are ignored: write `memory` and `cpu` in berth.toml")


def _variable(name: str, facts: Any, found: Manifests) -> None:
    if not _VARIABLE.fullmatch(name):
        raise BadInput(
            f"{APP_JSON}: env.{name[:60]} is not a variable's name",
            hint="begin with a letter or `_`, then use letters, digits and `_`",
            details={"file": APP_JSON, "key": f"env.{name}"},
        )
    value = facts.get("value") if isinstance(facts, dict) else facts
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        found.say_env(APP_JSON, name, _clean(APP_JSON, f"env.{name}", str(value)))
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
    read = ("schemaVersion", "dockerfilePath", "dockerfileLines", "imageName", "templateId")
    found.note_unread(CAPTAIN, document, read)
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
            hint=PROCESS_HINT,
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
