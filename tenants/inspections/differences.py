"""How two releases differ in what their rows and their images' configs say: config vars, formation, the image's
settings. Pure.

Values of config vars are secrets of the app: that one changed is told, never what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paas.templatetags.berth import MIB, cores
from tenants.inspections.models import Inspection
from tenants.releases.models import Release

HIDDEN, HIDDEN_NEW = "(hidden)", "(hidden, another one)"
_IMAGE = {
    "entrypoint": "Entrypoint",
    "cmd": "Command",
    "shell": "Shell",
    "workdir": "Working folder",
    "user": "User",
    "exposed_ports": "Ports",
    "volumes": "Volumes",
    "stop_signal": "Stop signal",
}
_PROCESS = {"args": "command", "count": "count", "memory_bytes": "memory", "cpu_millis": "cpu"}
_SECONDS = {"interval", "timeout", "start_period", "start_interval", "attempt_timeout"}


@dataclass(frozen=True, slots=True)
class Difference:
    """`before` or `after` is None where there is nothing of the name."""

    group: str  # "config", "formation", "image" or "health"
    name: str
    before: str | None
    after: str | None


def told(inspection: Inspection) -> list[Difference]:
    """For the question of how two releases differ, or an image from its base; those of the images come with the
    worker's answer."""
    before, after = inspection.before, inspection.release
    configs = (inspection.answer or {}).get("configs", [{}, {}])
    if inspection.kind == Inspection.Kind.BASE:
        return list(_of_images(configs))
    return differences(before, after, configs) if before and after else []


def differences(before: Release, after: Release, configs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """`configs`: of the two images, as `paas.contents.settings_of` gives them."""
    return [
        *_config(before, after),
        *_between("formation", _formation(before), _formation(after)),
        *_of_images(configs),
        *_between("health", _shown(before.health), _shown(after.health)),
    ]


def secrets_of(*releases: Release) -> frozenset[str]:
    """The values of config vars, which no text that is shown may hold; berth.toml's defaults are no secrets."""
    return frozenset(
        value
        for release in releases
        for name, value in release.config.items()
        if release.defaults.get(name) != value
    )


def _config(before: Release, after: Release) -> Iterator[Difference]:
    for name in sorted(before.config.keys() | after.config.keys()):
        one, other = (HIDDEN if name in release.config else None for release in (before, after))
        if one == other and before.config[name] != after.config[name]:
            other = HIDDEN_NEW
        if one != other:
            yield Difference("config", name, one, other)


def _between(group: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            yield Difference(group, name, before.get(name), after.get(name))


def _of_images(configs: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    one, other = configs
    return _between("image", _image(one), _image(other))


def _formation(release: Release) -> dict[str, str]:
    return {
        f"{process['name']} {shown}": _amount(key, process.get(key))
        for process in release.processes
        for key, shown in _PROCESS.items()
    }


def _image(config: Mapping[str, Any]) -> dict[str, str]:
    settings = {shown: _text(config[key]) for key, shown in _IMAGE.items() if config.get(key)}
    check = config.get("healthcheck") or {}
    settings |= {f"Healthcheck {name}": _amount(name, value) for name, value in check.items()}
    settings |= {f"LABEL {name}": value for name, value in config.get("labels", [])}
    return settings | {f"ENV {name}": value for name, value in config.get("env", [])}


def _shown(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _amount(name, value) for name, value in values.items() if value not in (None, "", [])}


def _amount(name: str, value: Any) -> str:
    """With the unit that its name stands for."""
    if value is not None and name in _SECONDS:
        return f"{value:g} s"
    if value is not None and name == "memory_bytes":
        return f"{value // MIB:,} MiB"
    if value is not None and name == "cpu_millis":
        return f"{cores(value)} core{'' if value == 1000 else 's'}"
    return _text(value)


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
