"""An image's config: how to run it, its layers by DiffID, its history (OCI image spec, config.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from paas.errors import BadInput
from paas.oci.digest import canonical_json, hex_of
from paas.oci.manifest import load_object
from paas.specs import ImageSpec

Pairs = tuple[tuple[str, str], ...]
_HEALTH_NUMBERS = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start_period": "StartPeriod",
    "start_interval": "StartInterval",
    "retries": "Retries",
}
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_UNUSABLE = re.compile("[\0\ud800-\udfff]")  # JSON carries them; no process and no database takes them
_TOP: Final = frozenset({"architecture", "os", "created", "author", "config", "rootfs", "history"})
_RUN: Final = frozenset(
    {
        "Env",
        "Entrypoint",
        "Cmd",
        "WorkingDir",
        "User",
        "ExposedPorts",
        "StopSignal",
        "Labels",
        "Volumes",
        "Healthcheck",
        "Shell",
    }
)


@dataclass(frozen=True, slots=True)
class History:
    """One step of a build. `empty_layer` is a step that only changed the config."""

    created_by: str
    created: str = ""  # RFC 3339
    comment: str = ""
    empty_layer: bool = False
    author: str = ""


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Docker's addition to the config (moby's image spec v1.2). Times in nanoseconds, 0 is "not given".

    `test` is ("NONE",), ("CMD", program, argument, …) or ("CMD-SHELL", text).
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """`diff_ids` bottom first; `exposed_ports` as "8000/tcp"; `user` as "name", "uid" or "uid:gid".

    `shell`, Docker's addition, runs the shell forms of a Dockerfile that is FROM it; () is /bin/sh -c.
    `others` is what else the document held, for whoever reads it after us: JSON {"": {…}, "config": {…}} of the
    fields that have no attribute here (OnBuild, variant, …).
    """

    diff_ids: tuple[str, ...] = ()
    env: Pairs = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = "/"
    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    labels: Pairs = ()
    volumes: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    author: str = ""
    history: tuple[History, ...] = ()
    created: str = ""  # RFC 3339; left out when empty, so that equal builds have equal digests
    architecture: str = "amd64"
    os: str = "linux"
    others: str = ""

    def other(self, key: str) -> Any:
        """A field of the document's "config" that has no attribute here ("Volumes"), or None."""
        return _others(self).get("config", {}).get(key)

    def with_env(self, **values: str) -> ImageConfig:
        """This config with variables set; those that exist keep their place."""
        return replace(self, env=tuple((dict(self.env) | values).items()))

    def with_layer(self, diff_id: str, step: History) -> ImageConfig:
        return replace(self, diff_ids=(*self.diff_ids, diff_id), history=(*self.history, step))

    def to_json(self) -> bytes:
        return canonical_json(_without_empty(self._document()))

    def _document(self) -> dict[str, Any]:
        return _others(self).get("", {}) | {
            "architecture": self.architecture,
            "os": self.os,
            "created": self.created,
            "author": self.author,
            "config": _without_empty(self._execution()),
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
            "history": [_history_document(step) for step in self.history],
        }

    def _execution(self) -> dict[str, Any]:
        return _others(self).get("config", {}) | {
            "Env": [f"{key}={value}" for key, value in self.env],
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "WorkingDir": self.workdir,
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "StopSignal": self.stop_signal,
            "Labels": dict(self.labels),
            "Volumes": {volume: {} for volume in self.volumes},
            "Healthcheck": _healthcheck_document(self.healthcheck),
            "Shell": list(self.shell),
        }


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value not in ("", [], {})}


def _healthcheck_document(check: Healthcheck | None) -> dict[str, Any]:
    if check is None:
        return {}
    numbers = {key: value for name, key in _HEALTH_NUMBERS.items() if (value := getattr(check, name))}
    return {"Test": list(check.test), **numbers}


def _others(config: ImageConfig) -> dict[str, dict[str, Any]]:
    return json.loads(config.others) if config.others else {}


def _to_others(document: dict[str, Any], run: dict[str, Any]) -> str:
    """Canonical, so that equal configs are equal; empty fields mean what absent ones do."""
    found = {"": _unknown(document, _TOP), "config": _unknown(run, _RUN)}
    return (
        canonical_json({key: value for key, value in found.items() if value}).decode()
        if any(found.values())
        else ""
    )


def _unknown(document: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    return {
        key: value for key, value in document.items() if key not in known and value not in (None, "", [], {})
    }


def _history_document(step: History) -> dict[str, Any]:
    document = {
        "created_by": step.created_by,
        "created": step.created,
        "comment": step.comment,
        "author": step.author,
    }
    return _without_empty(document) | ({"empty_layer": True} if step.empty_layer else {})


def parse_config(data: bytes) -> ImageConfig:
    """An image config from its blob; wrong types and missing parts raise BadInput with the key."""
    document = load_object(data, "image config")
    run = _dict(document, "config")
    return ImageConfig(
        diff_ids=_diff_ids(_dict(document, "rootfs")),
        env=tuple(_pair(item) for item in _strings(run, "Env")),
        entrypoint=_strings(run, "Entrypoint"),
        cmd=_strings(run, "Cmd"),
        workdir=_string(run, "WorkingDir") or "/",
        user=_string(run, "User"),
        exposed_ports=tuple(str(port) for port in _dict(run, "ExposedPorts")),
        stop_signal=_string(run, "StopSignal") or "SIGTERM",
        labels=tuple((str(key), str(value)) for key, value in _dict(run, "Labels").items()),
        volumes=tuple(str(path) for path in _dict(run, "Volumes")),
        healthcheck=_healthcheck(_dict(run, "Healthcheck")),
        shell=_strings(run, "Shell") if isinstance(run.get("Shell"), list) else (),  # no specification has it
        author=_string(document, "author"),
        history=tuple(_history(step) for step in _list(document, "history")),
        created=_string(document, "created"),
        architecture=_string(document, "architecture"),
        os=_string(document, "os"),
        others=_to_others(document, run),
    )


def _diff_ids(rootfs: dict[str, Any]) -> tuple[str, ...]:
    diff_ids = _strings(rootfs, "diff_ids")
    for diff_id in diff_ids:
        hex_of(diff_id)
    return diff_ids


def _healthcheck(document: dict[str, Any]) -> Healthcheck | None:
    """One without a test says nothing: Docker takes the times of an older one then, which we have not."""
    test = _strings(document, "Test")
    if not test:
        return None
    return Healthcheck(test, **{name: _whole(document, key) for name, key in _HEALTH_NUMBERS.items()})


def _history(step: Any) -> History:
    if not isinstance(step, dict):
        raise _wrong("history")
    return History(
        created_by=_string(step, "created_by"),
        created=_string(step, "created"),
        comment=_string(step, "comment"),
        empty_layer=step.get("empty_layer") is True,
        author=_string(step, "author"),
    )


def _pair(item: str) -> tuple[str, str]:
    key, _, value = item.partition("=")
    return key, value


def _dict(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(key)
    return value


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(key)
    return value


def _strings(document: dict[str, Any], key: str) -> tuple[str, ...]:
    values = _list(document, key)
    return tuple(_text(key, value) for value in values)


def _string(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return "" if value is None else _text(key, value)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(key)
    if _UNUSABLE.search(value):
        raise BadInput(f'image config: "{key}" has a NUL or half a character in it')
    return value


def _whole(document: dict[str, Any], key: str) -> int:
    value = document.get(key) or 0
    if not isinstance(value, int) or not 0 <= value < 2**63:  # Go's, whose programs write them
        raise _wrong(key)
    return value


def _wrong(key: str) -> BadInput:
    return BadInput(f'image config: "{key}" has the wrong type')


def exposed_port(config: ImageConfig) -> int | None:
    """The lowest exposed TCP port: the document keeps them as an object, which has no order."""
    found = (port.partition("/") for port in config.exposed_ports)
    numbers = [int(n) for n, _, protocol in found if protocol in ("", "tcp") and _PORT.fullmatch(n)]
    return min((number for number in numbers if 0 < number < 65536), default=None)


def mounted_once(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """Each layer once, where it is uppermost: overlayfs takes none twice, and there it hides its lower self
    whatever is between them. (Images from elsewhere often hold the empty layer several times.)"""
    return tuple(dict.fromkeys(reversed(tuple(diff_ids))))[::-1]


def image_spec(manifest_digest: str, config: ImageConfig) -> ImageSpec:
    """What the rest of the engine knows of an image."""
    hex_of(manifest_digest)
    return ImageSpec(
        digest=manifest_digest,
        layers=mounted_once(config.diff_ids),
        env=config.env,
        entrypoint=config.entrypoint,
        cmd=config.cmd,
        workdir=config.workdir,
        user=config.user,
        exposed_port=exposed_port(config),
        stop_signal=config.stop_signal,
    )
