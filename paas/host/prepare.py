"""What must be there before a process starts: user, folders, keys, code, base image, database."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import django

from paas.host import account, code, environment, files, folders, keys, manage, run_folder
from paas.host import database as databases
from paas.host.installation import Installation
from paas.host.progress import Note
from paas.host.stamp import Stamp


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the later steps need of the earlier ones."""

    settings: Mapping[str, str]
    environment: Mapping[str, str]
    code_digest: str


def prepare(installation: Installation, environ: Mapping[str, str]) -> Prepared:
    uid, gid = account.ensure()
    run_folder.ensure(installation)
    folders.make(folders.plan(installation, uid, gid))
    folders.bring_names_out(installation.paths)
    keys.ensure(installation, gid)
    settings = environment.chosen(installation, environ)
    text = environment.render(settings)
    if not installation.environment.exists() or installation.environment.read_text() != text:
        files.write(installation.environment, text)
    digest = code.install(installation.clone, installation.code)
    everything = environment.processes(settings, installation.code, installation.venv)
    # From here on paas.settings and Django may be imported: they read the environment once.
    os.environ.update(everything)
    django.setup()
    return Prepared(settings, everything, digest)


def base_image(log: Note) -> None:
    """What Python and static apps stand on, and other images too: about a minute, the first time only."""
    from paas import settings  # noqa: PLC0415 - reads the environment that `prepare` made
    from paas.images import Store, runtimes  # noqa: PLC0415

    runtimes.ensure_base(Store(settings.PATHS.store), settings.BASE_SUITE, log=log)


def runtimes(names: tuple[str, ...], *, rebuild: bool, log: Note) -> None:
    """The images of these languages; all that this machine has are made again with `rebuild`."""
    from paas import settings  # noqa: PLC0415
    from paas.images import Store, runtimes  # noqa: PLC0415

    wanted = runtimes.RUNTIMES if "all" in names else tuple(map(runtimes.named, names))
    store = Store(settings.PATHS.store)
    if rebuild:
        runtimes.rebuild(store, log=log)
    for runtime in wanted:
        runtimes.ensure(store, runtime, build=True, log=log)


def database(installation: Installation, prepared: Prepared) -> None:
    """Migrate, as `berth`, who must own SQLite's file; collect the static files, as root."""
    where = prepared.settings.get("DATABASE_URL", str(installation.paths.database))
    stamp = Stamp.of(installation.paths.state / "migrated", prepared.code_digest, where)
    if databases.has_tables(installation) and stamp.matches():
        return
    manage.output(installation, prepared.environment, "migrate", "--no-input", timeout=600)
    manage.output(installation, prepared.environment, "collectstatic", "--no-input", as_root=True)
    stamp.set()
