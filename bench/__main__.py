"""`bin/bench`: Berth's figures, side by side with Docker's in one run when asked for."""

from __future__ import annotations

import argparse
import signal
import sys

import django


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("what", choices=["launch", "deploy", "build", "density", "thousand"])
    parser.add_argument("--rounds", type=int, default=20, help="how often each is measured (default 20)")
    parser.add_argument("--docker", action="store_true", help="also measure Docker (needs docker.io, iptables)")
    parser.add_argument("--trace", action="store_true", help="also show where the time goes")
    parser.add_argument("--containers", type=int, default=100, help="density: how many at once (100)")
    parser.add_argument("--apps", type=int, default=1000, help="thousand: how many (1000)")
    parser.add_argument("--minutes", type=float, default=10.0, help="thousand: how long they are asked (10)")
    parser.add_argument("--a-second", type=float, default=5.0, help="thousand: requests a second (5)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is removed on the way out
    django.setup()
    from bench import build, density, deploy, launch, thousand  # noqa: PLC0415 - need Django

    try:
        if options.what == "thousand":
            thousand.run(apps=options.apps, minutes=options.minutes, a_second=options.a_second)
            return
        if options.what == "density":
            density.run(many=options.containers, with_docker=options.docker)
            return
        measure = {"launch": launch.run, "deploy": deploy.run, "build": build.run}
        measure[options.what](rounds=options.rounds, with_docker=options.docker, trace=options.trace)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
