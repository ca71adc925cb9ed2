"""`bin/bench`: Berth's figures, side by side with Docker's in one run when asked for."""

from __future__ import annotations

import argparse

from bench import launch


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("what", choices=["launch"])
    parser.add_argument("--rounds", type=int, default=20, help="launches of each (default 20)")
    parser.add_argument("--docker", action="store_true", help="also measure Docker (needs docker.io, iptables)")
    parser.add_argument("--trace", action="store_true", help="also show where the time goes")
    options = parser.parse_args()
    launch.run(rounds=options.rounds, with_docker=options.docker, trace=options.trace)


if __name__ == "__main__":
    main()
