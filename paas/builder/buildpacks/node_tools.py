"""What installs a Node app's packages: the tool whose lock file is there, in the version that the app names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from paas.builder.buildpacks.shape import MAX_MANIFEST, text_of
from paas.builder.tree import Tree

CACHE = "/var/cache/node"
BERRY_SETTINGS = ".yarnrc.yml"
# Newest of each known to work; `packageManager` in package.json names another.
_PNPM, _YARN, _BERRY = "9.15.9", "1.22.22", "4.18.1"
# `version` in the __metadata of a lock -> the last Yarn that writes it so. Any other would have to change it.
_BERRY_BY_LOCK = {"4": "2.4.2", "5": "3.1.1", "6": "3.8.7", "8": "4.13.0", "9": "4.14.1", "10": _BERRY}
_BERRY_4_0 = (
    "4.0.2"  # writes version 8 as well, but checksums without the key of the cache ("10c0/") before them
)
_PRUNES_ALONE = 4  # the major version from which on Yarn needs no plugin to leave out devDependencies
_VERSION = re.compile(r"\d+(?:\.\d+){0,2}")
# The first lines of content in a lock of Yarn 2 or later.
_BERRY_LOCK = re.compile(r"^__metadata:\s+version: (\d+)\s*$", re.MULTILINE)
_BARE_CHECKSUM = re.compile(r"^  checksum: [0-9a-f]+\s*$", re.MULTILINE)
# A release of Yarn in the source, which is not run: its version is taken from the registry.
_YARN_PATH = re.compile(r"""^yarnPath: *["']?[^\s"']*/yarn-(\d+\.\d+\.\d+)\.c?js["']?\s*$""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tool:
    """Commands are for the shell. One without `prune` cannot take devDependencies away again."""

    name: str
    lock: str
    install: str
    prune: str
    run: str
    checks_engines: bool = False  # refuses a Node that is not to `engines.node`; others warn


_NPM = ("npm ci", "npm prune --omit=dev --ignore-scripts", "npm run")
_NO_LOCK = Tool("npm", "", "npm install --no-package-lock", *_NPM[1:])


def tool_of(source: Tree, manifest: dict[str, Any]) -> Tool:
    for lock in ("package-lock.json", "npm-shrinkwrap.json"):
        if source.exists(lock):
            return Tool("npm", lock, *_NPM)
    if source.exists("pnpm-lock.yaml"):
        return _pnpm(_wanted(manifest, "pnpm") or _PNPM)
    if source.exists("yarn.lock"):
        version = _wanted(manifest, "yarn") or _yarn_of(source)
        return _yarn(version) if version.partition(".")[0] == "1" else _berry(version)
    return _NO_LOCK


def environment() -> dict[str, str]:
    """For each of them; what one does not know does it no harm."""
    return {
        "NPM_CONFIG_CACHE": f"{CACHE}/npm",
        # pnpm and Yarn 1 would keep themselves compiled, in /tmp of the layer.
        "DISABLE_V8_COMPILE_CACHE": "1",
        "NPM_CONFIG_STORE_DIR": f"{CACHE}/pnpm",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        "NPM_CONFIG_FUND": "false",
        "NPM_CONFIG_AUDIT": "false",
        "YARN_CACHE_FOLDER": f"{CACHE}/yarn",
        "YARN_GLOBAL_FOLDER": f"{CACHE}/berry",
        "YARN_ENABLE_GLOBAL_CACHE": "true",
        "YARN_ENABLE_TELEMETRY": "false",
        # The start command is run by node alone, which finds packages in a node_modules.
        "YARN_NODE_LINKER": "node-modules",
        "YARN_IGNORE_PATH": "true",  # a release of Yarn in the source: npx brings it
    }


def needs_source(source: Tree) -> str:
    """The folder of the source without which Yarn cannot install, "" if there is none."""
    return next((path for path in (".yarn/patches", ".yarn/plugins") if source.exists(path)), "")


def _wanted(manifest: dict[str, Any], name: str) -> str:
    """As `packageManager` has it ("pnpm@9.1.0+sha…"); "" for none, or another tool's."""
    tool, _, wanted = text_of(manifest, "packageManager").partition("@")
    version = _VERSION.match(wanted) if tool == name else None
    return version[0] if version else ""


def _yarn_of(source: Tree) -> str:
    """The version that the source was locked with, as far as anything but `packageManager` tells."""
    lock = source.text("yarn.lock", 16 * MAX_MANIFEST) or ""
    settings = (source.text(BERRY_SETTINGS, MAX_MANIFEST) or "") if source.exists(BERRY_SETTINGS) else None
    release = _YARN_PATH.search(settings or "")
    if release:
        return release[1]
    format = _BERRY_LOCK.search(lock[:1000])
    if format is None:
        return _YARN if settings is None else _BERRY
    is_4_0 = format[1] == "8" and _BARE_CHECKSUM.search(lock)
    return _BERRY_4_0 if is_4_0 else _BERRY_BY_LOCK.get(format[1], _BERRY)


def _pnpm(version: str) -> Tool:
    npx = f"npx --yes pnpm@{version}"
    return Tool(
        "pnpm",
        "pnpm-lock.yaml",
        f"{npx} install --frozen-lockfile",
        f"{npx} prune --prod --ignore-scripts",
        f"{npx} run",
    )


def _yarn(version: str) -> Tool:
    npx = f"npx --yes yarn@{version}"
    frozen = f"{npx} install --frozen-lockfile"
    return Tool(
        "yarn",
        "yarn.lock",
        f"{frozen} --production=false --non-interactive",
        f"{frozen} --production --ignore-scripts --prefer-offline --non-interactive",
        f"{npx} run",
        checks_engines=True,
    )


def _berry(version: str) -> Tool:
    npx = f"npx --yes @yarnpkg/cli-dist@{version}"
    prunes = int(version.partition(".")[0]) >= _PRUNES_ALONE
    prune = f"{npx} workspaces focus --all --production" if prunes else ""
    return Tool("yarn", "yarn.lock", f"{npx} install --immutable", prune, f"{npx} run")
