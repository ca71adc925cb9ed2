"""`bin/bench`: Berth's figures, side by side with Docker's in one run when asked for."""

from __future__ import annotations

import argparse
import logging
import signal
import sys

import django


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("what", choices=["launch", "deploy", "build"])
    parser.add_argument("--rounds", type=int, default=20, help="how often each is measured (default 20)")
    parser.add_argument("--docker", action="store_true", help="also measure Docker (needs docker.io, iptables)")
    parser.add_argument("--trace", action="store_true", help="also show where the time goes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is removed on the way out
    django.setup()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request
    from bench import build, deploy, launch  # noqa: PLC0415 - need Django

    measure = {"launch": launch.run, "deploy": deploy.run, "build": build.run}[options.what]
    try:
        measure(rounds=options.rounds, with_docker=options.docker, trace=options.trace)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
