"""What is promised of Berth's own processes, sockets and folders: read, and judged (pure)."""

from __future__ import annotations

import pwd
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paas.isolation import capabilities, listeners
from paas.isolation.facts import Status
from paas.isolation.listeners import Listener
from paas.isolation.rows import Found, Promise, Row, rows, verdict
from paas.linux import processes
from paas.paths import Paths

PROC = Path("/proc")
INGRESS = "caddy"
OF_BERTH = ("web", "streams", "valkey", "caddy")
OF_ROOT = ("worker-deploy", "worker-build", "worker-transfer", "agent", "waker")
# Which a process keeps that has to be root; see paas.host.programs.
NOT_EVEN_ROOT = capabilities.mask(
    f"CAP_{name}" for name in ("SYS_BOOT", "SYS_TIME", "SYS_RAWIO", "MAC_ADMIN", "MAC_OVERRIDE", "WAKE_ALARM")
)
BIND_LOW = capabilities.mask(["CAP_NET_BIND_SERVICE"])
OTHERS, NOT_OWNER, WRITES = 0o007, 0o077, 0o022


@dataclass(frozen=True, slots=True)
class Program:
    """A process of the control plane."""

    name: str
    pid: int
    status: Status
    mount_namespace: str
    listeners: tuple[Listener, ...]


@dataclass(frozen=True, slots=True)
class Door:
    """A file or folder: who owns it, and its permission bits."""

    path: Path
    uid: int
    mode: int


@dataclass(frozen=True, slots=True)
class ControlPlane:
    programs: tuple[Program, ...]
    account: tuple[int, int]  # uid and gid of `berth`
    host_mounts: str  # the mount namespace of supervisord
    sockets: tuple[Door, ...]
    roots_own: tuple[Door, ...]  # for root alone
    shared: tuple[Door, ...]  # for root and `berth`
    code: tuple[Door, ...]
    rules: str
    port: int  # of the ingress, for the whole network


def judge(seen: ControlPlane) -> tuple[Row, ...]:
    return rows(PROMISES, seen)


def look(paths: Paths, account: str, port: int, rules: str) -> ControlPlane:
    """As root, from Berth's mount namespace. `rules` is from Network.drift."""
    entry, found = pwd.getpwnam(account), processes.of_installation(paths.state)
    supervisord = int((paths.run / "supervisor" / "pid").read_text())
    sockets = listeners.by_process([*found, supervisord], listeners.read())
    sockets_folder = paths.valkey_socket.parent
    return ControlPlane(
        programs=tuple(_programs({**found, supervisord: "supervisord"}, sockets)),
        account=(entry.pw_uid, entry.pw_gid),
        host_mounts=str((PROC / str(supervisord) / "ns" / "mnt").readlink()),
        sockets=_doors(sockets_folder, *sockets_folder.iterdir()),
        roots_own=_doors(
            paths.store, paths.tenants, paths.work, paths.run / "supervisor", paths.state / "environment"
        ),
        shared=_doors(
            paths.secrets, paths.database.parent, paths.sources, paths.store_names, paths.state / "logs"
        ),
        code=_doors(paths.state / "code", paths.state / "venv", paths.routes),
        rules=rules,
        port=port,
    )


def _programs(found: Mapping[int, str], sockets: Mapping[int, tuple[Listener, ...]]) -> Iterator[Program]:
    for pid, name in sorted(found.items()):
        with suppress(FileNotFoundError, ProcessLookupError):
            proc = PROC / str(pid)
            status = Status.parse((proc / "status").read_text(errors="replace"))
            yield Program(name, pid, status, str((proc / "ns" / "mnt").readlink()), sockets[pid])


def _doors(*paths: Path) -> tuple[Door, ...]:
    found = ((path, path.stat()) for path in paths if path.exists())
    return tuple(Door(path, status.st_uid, status.st_mode & 0o7777) for path, status in found)


# --- judging
def _without_privileges(seen: ControlPlane) -> Found:
    problems, missing = list(_privilege_problems(seen)), _missing(OF_BERTH, seen)
    if missing and not problems:
        return Found("n/a", f"not running at that moment: {missing}")
    return verdict(problems, f"{', '.join(OF_BERTH)}: user berth, no capability, none to be gained")


def _missing(names: tuple[str, ...], seen: ControlPlane) -> str:
    """A program that is being restarted is no broken promise, and none that holds."""
    return ", ".join(sorted(set(names) - {program.name for program in seen.programs}))


def _privilege_problems(seen: ControlPlane) -> Iterator[str]:
    uid, gid = seen.account
    for program in seen.programs:
        if program.name in OF_ROOT or program.name == "supervisord":
            continue
        status, name = program.status, f"{program.name} ({program.pid})"
        if status.uids != {uid} or status.gids - {gid}:
            yield f"{name} runs as {sorted(status.uids)} in groups {sorted(status.gids)}"
        may = BIND_LOW if program.name == INGRESS else 0
        held = 0
        for mask in status.capabilities.values():
            held |= mask & ~may
        if held:
            yield f"{name} has {', '.join(capabilities.named(held)[:3])}"
        if not status.no_new_privileges:
            yield f"{name} may gain privileges"


def _root_programs(seen: ControlPlane) -> Found:
    problems = []
    for program in seen.programs:
        if program.status.uid != 0 or program.name == "supervisord":
            continue
        if program.name not in OF_ROOT:
            problems.append(f"{program.name} ({program.pid}) is root")
        elif program.mount_namespace == seen.host_mounts:
            problems.append(f"{program.name} ({program.pid}) is in the host's mount namespace")
        if held := program.status.capabilities["CapBnd"] & NOT_EVEN_ROOT:
            problems.append(f"{program.name} ({program.pid}) may have {capabilities.named(held)[0]}")
    return verdict(problems, f"{', '.join(OF_ROOT)}; in Berth's mount namespace")


def _sockets(seen: ControlPlane) -> Found:
    """Also of other users of the host; a container sees none of these paths at all."""
    problems = [f"{it.path.name} has mode {it.mode:o}" for it in seen.sockets if it.mode & OTHERS]
    return verdict(problems, ", ".join(sorted(door.path.name for door in seen.sockets)))


def _roots_own(seen: ControlPlane) -> Found:
    problems = [
        f"{it.path} is user {it.uid}'s, mode {it.mode:o}"
        for it in seen.roots_own
        if it.uid or it.mode & NOT_OWNER
    ]
    return verdict(problems, ", ".join(door.path.name for door in seen.roots_own))


def _shared(seen: ControlPlane) -> Found:
    problems = [f"{it.path} has mode {it.mode:o}" for it in seen.shared if it.mode & OTHERS]
    return verdict(problems, ", ".join(door.path.name for door in seen.shared))


def _code(seen: ControlPlane) -> Found:
    problems = [
        f"{it.path} is user {it.uid}'s, mode {it.mode:o}" for it in seen.code if it.uid or it.mode & WRITES
    ]
    return verdict(problems, ", ".join(door.path.name for door in seen.code))


def _listening(seen: ControlPlane) -> Found:
    problems, ingress = [], set()
    for program in seen.programs:
        for listener in program.listeners:
            if program.name == INGRESS and listener.port == seen.port:
                ingress.add(str(listener))
            elif not listener.is_loopback:
                problems.append(f"{program.name} ({program.pid}) listens on {listener}")
    return verdict(problems, f"the ingress alone: {', '.join(sorted(ingress)) or 'not running'}")


def _rules(seen: ControlPlane) -> Found:
    return verdict([seen.rules] if seen.rules else [], "as Berth makes them")


PROMISES: tuple[Promise[ControlPlane], ...] = (
    Promise(
        "web-processes",
        "Pages, streams, broker, ingress",
        "Run without any privilege, and cannot gain one.",
        _without_privileges,
    ),
    Promise(
        "root-processes", "What runs as root", "The workers and the agent, and nothing else.", _root_programs
    ),
    Promise("sockets", "Sockets", "Broker and admin sockets are closed to other users.", _sockets),
    Promise(
        "tenants-files",
        "Tenants' files",
        "Images, disks and settings are root's alone: the web processes cannot read them.",
        _roots_own,
    ),
    Promise("own-files", "Berth's own files", "Keys, database and logs are closed to other users.", _shared),
    Promise("code", "Code", "No process that answers the network can change what runs.", _code),
    Promise("listening", "Open ports", "Nothing but the ingress listens beyond loopback.", _listening),
    Promise("fences", "Network rules", "The rules between tenants, host and world are in force.", _rules),
)
