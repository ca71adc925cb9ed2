"""A control plane as it should be, for tests that change one thing of it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from paas.isolation.control_plane import OF_ROOT, ControlPlane, Door, Program
from paas.isolation.facts import CAPABILITY_SETS, Status
from paas.isolation.listeners import Listener

UID = 995
NOBODY = Status(
    uids=frozenset({UID}),
    gids=frozenset({UID}),
    uid=UID,
    capabilities=dict.fromkeys(CAPABILITY_SETS, 0),
    no_new_privileges=True,
    seccomp=0,
)
ROOT = replace(NOBODY, uids=frozenset({0}), gids=frozenset({0}), uid=0, no_new_privileges=False)
INGRESS = Listener(1, IPv4Address("0.0.0.0"), 8080)


def program(name: str, **changes: Any) -> Program:
    of_root = name in (*OF_ROOT, "supervisord")
    mounts = "mnt:[2]" if name in OF_ROOT else "mnt:[1]"
    whole = Program(name, 100, ROOT if of_root else NOBODY, mounts, (INGRESS,) if name == "caddy" else ())
    return replace(whole, **changes)


def plane(**changes: Any) -> ControlPlane:
    names = ("web", "streams", "valkey", "caddy", "supervisord", *OF_ROOT)
    run, state = Path("/run/b"), Path("/state")
    whole = ControlPlane(
        programs=tuple(map(program, names)),
        account=(UID, UID),
        host_mounts="mnt:[1]",
        sockets=(Door(run / "sockets", UID, 0o750), Door(run / "sockets" / "valkey.sock", UID, 0o770)),
        roots_own=(Door(state / "store", 0, 0o700),),
        shared=(Door(state / "secrets", 0, 0o750),),
        code=(Door(state / "code", 0, 0o755),),
        rules="",
        port=INGRESS.port,
    )
    return replace(whole, **changes)
