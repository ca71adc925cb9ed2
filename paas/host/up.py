"""`bin/up`: from a bare machine, or a stopped Berth, to one that answers. What is done already costs a look."""

from __future__ import annotations

import argparse
import os
import sys

from paas.errors import BadInput, BerthError
from paas.host.alone import alone
from paas.host.installation import Installation


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/up",
        description="Set Berth up on this machine, start it, and wait until every process answers.",
        epilog="Settings come from the environment and are remembered; docs/reference/settings.md lists them.",
    )
    parser.add_argument("--check", action="store_true", help="only show what this host offers; changes nothing")
    parser.add_argument("--detach", action="store_true", help="return once everything answers")
    parser.add_argument("--no-example", action="store_true", help="do not deploy examples/hello-python")
    parser.add_argument(
        "--link", action="store_true", help="print a new sign-in link for the first administrator"
    )
    parser.add_argument("--port", type=int, metavar="N", help="port of the ingress (BERTH_PORT; default 8080)")
    parser.add_argument(
        "--runtime",
        action="append",
        default=[],
        metavar="NAME",
        help="make a language's image ahead of the first build that needs it: node:20, php:8.2, …, or all",
    )
    parser.add_argument(
        "--rebuild-images",
        action="store_true",
        help="make base and languages' images again, from Debian's newest",
    )
    parser.add_argument(
        "--swap",
        metavar="SIZE",
        help="make swap (BERTH_SWAP): a file, 8G or auto; compressed memory, zram or zram:4G; 0 removes it",
    )
    parser.add_argument("--systemd", action="store_true", help="hand over to systemd: start at boot, restart")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = arguments(argv)
    if options.check:
        from paas.host.check import show  # noqa: PLC0415 - must run on a host that has nothing else yet

        return show()
    try:
        return _up(options)
    except BerthError as error:
        print(
            f"Error: {error.summary}", *([f"  {error.hint}"] if error.hint else []), sep="\n", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run bin/up again to go on, or bin/down to stop what runs.", file=sys.stderr)
        return 130


def _up(options: argparse.Namespace) -> int:
    # Not at the top: --check runs under Debian's Python, which has none of their dependencies.
    from paas.host import attach, bring_up, start, systemd  # noqa: PLC0415
    from paas.host.progress import Progress  # noqa: PLC0415

    environ = dict(os.environ)
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if options.port is not None:
        environ["BERTH_PORT"] = _port(options.port)
    if options.swap is not None:
        environ["BERTH_SWAP"] = options.swap
    installation, progress = Installation.from_environment(environ), Progress()

    images = bring_up.Images(tuple(options.runtime), rebuild=options.rebuild_images)
    with alone(installation, progress):
        prepared = bring_up.set_up(installation, environ, progress, images)
        if options.systemd:
            systemd.install(installation)
        theirs = systemd.starts(installation)
        hand_over = theirs and not (systemd.is_up() and start.is_current(installation, prepared))
        if not hand_over:
            start.start(installation, prepared, progress)
    if hand_over:  # not under the lock, which the unit's own bin/up takes
        systemd.restart(installation, progress)
    with alone(installation, progress):
        example, link = not options.no_example, options.link
        summary = bring_up.first_steps(installation, prepared, progress, example=example, link=link)
    progress.say(summary)
    if options.detach or theirs:
        return 0

    def again() -> None:
        prepared = bring_up.set_up(installation, environ, progress, bring_up.Images())
        start.start(installation, prepared, progress)

    return attach.stay(installation, progress, again)


def _port(number: int) -> str:
    if not 1 <= number <= 65535:
        raise BadInput(f"--port {number} is not a port", hint="Give a number from 1 to 65535.")
    return str(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
