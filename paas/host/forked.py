"""What supervisord's child becomes when the program is Berth's own Python: no program is executed.

    python -m paas.host.forked [--mounts=NAMESPACE] [--user=NAME] -- manage.py worker …
    python -m paas.host.forked [--mounts=NAMESPACE] [--user=NAME] -- gunicorn …

Executed, it does the same, and imports everything first.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import django
from django.core.management import execute_from_command_line
from gunicorn.app import wsgiapp

from paas.celery import app as celery
from paas.linux import privileges, syscalls

# All that the programs import sooner or later. What one alone needs costs the others nothing.
IMPORTED = (
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "django.core.cache.backends.redis",
    "django.db.models.sql.compiler",
    "encodings.utf_8_sig",
    "gunicorn.workers.gasgi",
    "gunicorn.workers.gthread",
    "kombu.transport.redis",
    "paas.agent.run",
    "paas.asgi",
    "paas.management.commands.agent",
    "paas.management.commands.worker",
    "paas.pools",
    "paas.urls",
    "paas.worker.tasks",
    "paas.wsgi",
)


def import_all() -> None:
    """Everything, and no thread, no socket and no connection: what is forked next has all that there is."""
    django.setup()
    for name in IMPORTED:
        import_module(name)
    celery.finalize()  # each worker would do it, and write to what it shares


def main(argv: Sequence[str]) -> int:
    """Become what `argv` says, and run to the end; the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mounts")
    parser.add_argument("--user")
    parser.add_argument("words", nargs="+")
    options = parser.parse_args(argv)
    if options.mounts:
        here = Path.cwd()
        syscalls.setns(options.mounts, syscalls.CLONE_NEWNS)  # which goes to its root folder
        os.chdir(here)
    if options.user:
        privileges.give_up(options.user)
    privileges.end_with_parent()
    sys.argv = options.words
    return _status(_PROGRAMS[options.words[0]])


_PROGRAMS: dict[str, Callable[[], None]] = {
    "manage.py": lambda: execute_from_command_line(sys.argv),
    "gunicorn": wsgiapp.run,
}


def _status(program: Callable[[], None]) -> int:
    try:
        program()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    import_all()
    sys.exit(main(sys.argv[1:]))
