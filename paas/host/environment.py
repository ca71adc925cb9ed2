"""The environment of every process: what the operator chose, kept in one file and used from then on.

Precedence: the environment of `bin/up`, then the file, then the defaults of paas.settings. So
`BERTH_PORT=9000 bin/up` need be said only once, and editing the file and running `bin/up` does the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from paas.errors import BadInput
from paas.host.installation import Installation
from paas.linux.command import CLEAN_ENV
from paas.network import own_networks

_LINE = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)")
_HEADER = "# Berth's settings (docs/reference/settings.md). Edit, then run bin/up again.\n"


# berth_cli's own, which an operator's shell may well hold; a token must not get into a file of settings.
_OF_THE_CLI = frozenset({"BERTH_URL", "BERTH_TOKEN", "BERTH_APP"})


def names(source: str) -> frozenset[str]:
    """The settings that the text of paas/settings.py reads, and the files that may hold the secret ones."""
    read = frozenset(re.findall(r"\(\s*\"(BERTH_[A-Z_]+|DATABASE_URL)\"", source))
    return read | {f"{name}_FILE" for name in re.findall(r"\bsecret\(\"([A-Z_]+)\"", source)}


def settings_in(environ: Mapping[str, str], known: frozenset[str]) -> dict[str, str]:
    """Berth's settings among `environ`; one that does not exist is an error, not a wish that goes unheard."""
    meant = {n: v for n, v in environ.items() if n == "DATABASE_URL" or n.startswith("BERTH_")}
    found = {name: value for name, value in meant.items() if name not in _OF_THE_CLI}
    for name in sorted(found.keys() - known):
        nearest = get_close_matches(name, known, 1)
        raise BadInput(
            f"there is no setting {name}",
            hint=f"Did you mean {nearest[0]}?" if nearest else "docs/reference/settings.md lists them.",
        )
    return found


def parse(text: str, source: str) -> dict[str, str]:
    """NAME=value lines; empty lines and lines that begin with # are skipped."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise BadInput(f"{source}, line {number}: not NAME=value", hint="Correct or remove that line.")
        found[match["name"]] = match["value"]
    return found


def render(settings: Mapping[str, str]) -> str:
    for name, value in settings.items():
        if "\n" in value or "\0" in value:
            raise BadInput(f"{name} holds a line break", hint=f"Put it into a file and set {name}_FILE.")
    return _HEADER + "".join(f"{name}={settings[name]}\n" for name in sorted(settings))


def chosen(installation: Installation, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings to run with, from the file and from `environ`, with the files of the secrets."""
    path = installation.environment
    kept = parse(path.read_text(), str(path)) if path.exists() else {}
    known = names((installation.clone / "paas" / "settings.py").read_text())
    settings = {**settings_in(kept, known), **settings_in(environ, known)}
    settings["BERTH_STATE"] = str(installation.paths.state)
    settings["BERTH_RUN"] = str(installation.paths.run)
    # As of now, and the same for all processes: each of them looks whether the rules are right.
    settings["BERTH_OWN_NETWORKS"] = ",".join(map(str, own_networks()))
    _check_database(settings)
    if "BERTH_SECRET_KEY" not in settings:
        settings.setdefault("BERTH_SECRET_KEY_FILE", str(installation.secret_key))
    if "BERTH_FIELD_KEYS" not in settings:
        settings.setdefault("BERTH_FIELD_KEYS_FILE", str(installation.field_keys))
    return settings


def _check_database(settings: dict[str, str]) -> None:
    """An empty address goes back to SQLite. A wrong one is not repeated: it may hold a password."""
    address = settings.pop("DATABASE_URL", "")
    if not address:
        return
    if urlsplit(address).scheme not in ("postgres", "postgresql"):
        raise BadInput(
            "DATABASE_URL is not the address of a PostgreSQL database",
            hint="Write postgres://user:password@host/name; leave it empty for SQLite.",
        )
    settings["DATABASE_URL"] = address


def processes(settings: Mapping[str, str], code: Path, venv: Path) -> dict[str, str]:
    """The whole environment of a process of the control plane."""
    return {
        # A large upload waits beside its destination, not in a small /tmp.
        "BERTH_UPLOAD_TMP": f"{settings['BERTH_STATE']}/upload",
        **settings,
        "DJANGO_SETTINGS_MODULE": "paas.settings",
        **CLEAN_ENV,
        "PATH": f"{venv}/bin:{CLEAN_ENV['PATH']}",
        "PYTHONPATH": str(code),
        "PYTHONUNBUFFERED": "1",
        # glibc gives each thread that allocates a heap of its own, up to eight a core, and none back.
        "MALLOC_ARENA_MAX": "2",
    }
