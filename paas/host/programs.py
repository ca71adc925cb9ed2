"""The control plane's processes as supervisor programs: pure, from an installation to a configuration file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paas.host.installation import ACCOUNT, Installation

INGRESS, BROKER = "caddy", "valkey"
# If supervisord dies, its programs end as if asked: those that a next one starts would meet them otherwise. Not
# the ingress: apps are reached through it all the while, and a next bin/up ends it (leftovers).
_MORTAL = "--pdeathsig=TERM"
# What not even a program that has to be root is for: the machine's power, clock, ports and policies.
NOT_EVEN_ROOT = "-sys_boot,-sys_time,-sys_rawio,-mac_admin,-mac_override,-wake_alarm"


@dataclass(frozen=True, slots=True)
class Program:
    """`user` None is root. `keeps` are the capabilities that another user has. `stop_seconds` pass between TERM
    and KILL."""

    name: str
    argv: tuple[str, ...]
    user: str | None = None
    keeps: tuple[str, ...] = ()
    stop_seconds: int = 10
    priority: int = 20
    # KILL reaches the whole process group: Celery's children would outlive their parent otherwise.
    # Containers are never in it, conmon leaves the group that started it.
    kill_group: bool = False
    dies_with_supervisord: bool = True
    # Our own Python: forked by supervisord, which has imported it, instead of executed (paas.host.supervisord).
    forked: bool = False
    in_mounts: bool = False  # in the mount namespace that containers' mounts are in


def programs(installation: Installation, valkey: Path, port: int, prefix: str) -> tuple[Program, ...]:
    """All of them. `valkey` is the server's binary; the others are in the Python environment."""
    return (
        Program(BROKER, _valkey(installation, valkey), ACCOUNT, priority=10),
        ingress(installation, port),
        Program("web", _web(installation), ACCOUNT, forked=True),
        Program("streams", _streams(installation), ACCOUNT, stop_seconds=5, forked=True),
        # A roll-out waits, for an app to be ready or its visitors to be done: threads, which cost nothing.
        _worker("deploy", "threads", 32),
        _worker("build", "prefork", 4, kill_group=True),
        # Pushes wait for registries, which are as slow as their owners like. More threads than one tenant may
        # keep busy (MOST_… of tenants/registries and tenants/inspections), so that the others find room.
        _worker("transfer", "threads", 32),
        Program("agent", ("manage.py", "agent"), forked=True, in_mounts=True),
        Program("waker", _waker(installation, prefix), in_mounts=True),
    )


def render(installation: Installation, parts: tuple[Program, ...]) -> str:
    """A supervisord.conf. The settings are not in it: its `environment` cannot hold every value (it knows no
    escapes), so supervisord is started with them and the programs inherit them.
    """
    head: dict[str, Mapping[str, object]] = {
        "unix_http_server": {"file": installation.supervisor_socket, "chmod": "0700"},
        "supervisord": {
            "pidfile": installation.supervisor_pid,
            "logfile": installation.process_logs / "supervisord.log",
            "logfile_maxbytes": "5MB",
            "logfile_backups": 2,
            "childlogdir": installation.process_logs,
            "directory": installation.code,
            "umask": "027",
            "minfds": 1024,
            "user": "root",
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    sections: dict[str, Mapping[str, object]] = dict(head)
    sections.update((f"program:{part.name}", _section(part, installation)) for part in parts)
    return "\n".join(_ini(name, values) for name, values in sections.items())


def _section(part: Program, installation: Installation) -> dict[str, object]:
    command = _forked(part, installation) if part.forked else _executed(part, installation)
    section: dict[str, object] = {
        "command": shlex.join(command).replace("%", "%%"),
        "priority": part.priority,
        "autorestart": "true",
        # A process that fails at once is tried for about two minutes: a database may be restarting.
        "startretries": 15,
        "startsecs": 2,
        "stopwaitsecs": part.stop_seconds,
        "killasgroup": "true" if part.kill_group else "false",
        "redirect_stderr": "true",
        "stdout_logfile": installation.process_logs / f"{part.name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }
    # A container's first process passes through folders that the workers make, under mapped ids.
    return section if part.user else {**section, "umask": "022"}


def forked_by(installation: Installation) -> tuple[str, ...]:
    """How a command begins that supervisord forks instead of executing it."""
    return (str(installation.python), "-m", "paas.host.forked")


def _forked(part: Program, installation: Installation) -> tuple[str, ...]:
    mounts = (f"--mounts={installation.paths.mount_namespace}",) if part.in_mounts else ()
    user = (f"--user={part.user}",) if part.user else ()
    return (*forked_by(installation), *mounts, *user, "--", *part.argv)


def _executed(part: Program, installation: Installation) -> tuple[str, ...]:
    mounts = ("/usr/bin/nsenter", f"--mount={installation.paths.mount_namespace}", "--")
    return (*_privileges(part), *(mounts if part.in_mounts else ()), *part.argv)


def _privileges(part: Program) -> tuple[str, ...]:
    """By setpriv(1), as root: supervisord could change the user, and nothing else that a program gains by."""
    mortal = (_MORTAL,) if part.dies_with_supervisord else ()
    if part.user is None:
        return ("/usr/bin/setpriv", *mortal, "--")
    kept = ",".join(("-all", *(f"+{name}" for name in part.keeps)))
    sets = (f"--{kind}={kept}" for kind in ("inh-caps", "ambient-caps", "bounding-set"))
    user = (f"--reuid={part.user}", f"--regid={part.user}", "--clear-groups")
    return ("/usr/bin/setpriv", *mortal, *user, *sets, "--no-new-privs", "--")


def supervisord(installation: Installation) -> tuple[str, ...]:
    """The command that runs all of them. What it may not do, none of them may."""
    config = f"--configuration={installation.supervisor_config}"
    bounds = ("/usr/bin/setpriv", f"--bounding-set={NOT_EVEN_ROOT}", "--")
    return (*bounds, str(installation.python), "-m", "paas.host.supervisord", config)


def _ini(name: str, values: Mapping[str, object]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


def _without_settings(installation: Installation, home: str, *argv: str) -> tuple[str, ...]:
    """For programs that are not Berth's code: a database's password, say, is not for them. By two variables
    `leftovers` knows them."""
    folder = installation.paths.state / home
    variables = [f"{name}={folder}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")]
    marks = (f"BERTH_STATE={installation.paths.state}", f"SUPERVISOR_PROCESS_NAME={home}")
    return ("/usr/bin/env", "-i", *variables, *marks, *argv)


def _valkey(installation: Installation, binary: Path) -> tuple[str, ...]:
    options = {
        "port": "0",
        "unixsocket": str(installation.paths.valkey_socket),
        "unixsocketperm": "770",
        "dir": str(installation.paths.state / "valkey"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
        # It would write the title over its environment, by which it is known (see paas.linux.processes).
        "set-proc-title": "no",
        # A full broker refuses new messages, which is seen; it never drops one, which is not.
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return _without_settings(installation, "valkey", str(binary), *flags)


def ingress(installation: Installation, port: int) -> Program:
    """Caddy, as `berth`. For a port below 1024 it gets that one right and no other of root's."""
    caddy = str(installation.venv / "bin" / "caddy")
    argv = _without_settings(installation, "caddy", caddy, "run", "--config", str(installation.caddy_config))
    keeps = ("net_bind_service",) if port < 1024 else ()
    return Program(INGRESS, argv, ACCOUNT, keeps, priority=15, dies_with_supervisord=False)


def _gunicorn(socket: Path, *options: str) -> tuple[str, ...]:
    return (
        "gunicorn",
        f"--bind=unix:{socket}",
        "--umask=007",
        # Otherwise those of who imported gunicorn, to whom it gives its socket.
        f"--user={ACCOUNT}",
        f"--group={ACCOUNT}",
        # Its control socket would lie in $HOME, which `berth` has not.
        "--no-control-socket",
        # A heartbeat file that must not wait for the disk.
        "--worker-tmp-dir=/dev/shm",
        # Importing everything counts: a busy machine without hardware help needs a minute for it.
        "--timeout=120",
        *options,
    )


def _web(installation: Installation) -> tuple[str, ...]:
    options = ("--worker-class=gthread", "--workers=1", "--threads=8", "--graceful-timeout=8")
    return _gunicorn(installation.paths.web_socket, *options, "paas.wsgi:application")


def _streams(installation: Installation) -> tuple[str, ...]:
    options = ("--worker-class=asgi", "--workers=1", "--graceful-timeout=2")
    return _gunicorn(installation.paths.streams_socket, *options, "paas.asgi:application")


def _worker(queue: str, pool: str, at_once: int, *, kill_group: bool = False) -> Program:
    options = (f"--queue={queue}", f"--pool={pool}", f"--concurrency={at_once}")
    argv = ("manage.py", "worker", *options)
    name = f"worker-{queue}"
    return Program(name, argv, stop_seconds=20, kill_group=kill_group, forked=True, in_mounts=True)


def _waker(installation: Installation, prefix: str) -> tuple[str, ...]:
    """Without site-packages: it needs none, and what it does not import it need not hold in memory."""
    return (str(installation.python), "-S", "-m", "paas.sleep.waker", prefix, str(installation.paths.run))
