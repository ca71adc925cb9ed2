"""What an image's config says of how to run it, for a reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from paas.oci.config import Healthcheck, ImageConfig, Pairs

_SECOND = 1_000_000_000  # in the nanoseconds of a config


def settings_of(config: ImageConfig, mask: Callable[[str], str] = str) -> dict[str, Any]:
    """As JSON has it. `env` and `labels` are pairs; times of the healthcheck are in seconds. What has no order
    in the document is sorted; `mask` sees all that may hold a value of the author's."""
    return {
        "env": _pairs(config.env, mask),
        "entrypoint": [mask(word) for word in config.entrypoint],
        "cmd": [mask(word) for word in config.cmd],
        "shell": [mask(word) for word in config.shell],
        "workdir": mask(config.workdir),
        "user": mask(config.user),
        "exposed_ports": sorted(config.exposed_ports),
        "volumes": sorted(mask(path) for path in config.volumes),
        "labels": sorted(_pairs(config.labels, mask)),
        "stop_signal": config.stop_signal,
        "healthcheck": _check(config.healthcheck, mask) if config.healthcheck else None,
    }


def _pairs(pairs: Pairs, mask: Callable[[str], str]) -> list[list[str]]:
    return [[name, mask(value)] for name, value in pairs]


def _check(check: Healthcheck, mask: Callable[[str], str]) -> dict[str, Any]:
    """Without the numbers that were not given."""
    given = {name: value for name, value in asdict(check).items() if value}
    times = {
        name: given[name] / _SECOND
        for name in ("interval", "timeout", "start_period", "start_interval")
        if name in given
    }
    return given | times | {"test": [mask(word) for word in check.test]}
