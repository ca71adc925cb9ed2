"""The one platform that images are built for and on: this machine's."""

from __future__ import annotations

import platform

OS = "linux"
# uname(2)'s names, and others in use, as Go spells them (containerd's platforms package).
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
_VARIANTS = {"arm64": ("v8", "8")}


def architecture() -> str:
    return _normal(platform.machine())


def name() -> str:
    return f"{OS}/{architecture()}"


def arguments() -> dict[str, str]:
    """The variables that are there in front of the first FROM without an ARG."""
    parts = {"PLATFORM": name(), "OS": OS, "ARCH": architecture(), "VARIANT": ""}
    return {f"{side}{part}": value for side in ("TARGET", "BUILD") for part, value in parts.items()}


def is_own(text: str) -> bool:
    """Whether "linux/amd64", "amd64" or "linux" is this machine's platform."""
    parts = [part.lower() for part in text.split("/")]
    if parts[0] == OS:
        parts = parts[1:] or [architecture()]
    own = _normal(parts[0]) == architecture()
    return own and (len(parts) == 1 or (len(parts) == 2 and parts[1] in _VARIANTS.get(architecture(), ())))


def _normal(machine: str) -> str:
    return _ARCHITECTURES.get(machine, machine)
