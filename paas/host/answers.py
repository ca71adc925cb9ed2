"""Whether each process answers: not that it exists, but that it does its work."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable

import redis

from paas.errors import HostProblem
from paas.host.installation import Installation
from paas.host.supervisor import Supervisor
from paas.host.unix_http import status
from paas.network import asleep, nflog

Answer = Callable[[], bool]


def questions(installation: Installation, supervisor: Supervisor) -> dict[str, Answer]:
    """Program -> a question that is True once it answers. Needs the settings in os.environ."""
    from paas import settings  # noqa: PLC0415 - reads the environment, which bin/up has just made

    paths = installation.paths
    return {
        "valkey": lambda: _valkey(settings.VALKEY_URL),
        "web": lambda: status(paths.web_socket, settings.DASHBOARD_HOST, "/healthz/") == 200,
        # The streams process serves the same application; any answer of it shows that its loop runs.
        "streams": lambda: status(paths.streams_socket, settings.DASHBOARD_HOST, "/healthz/") == 200,
        "caddy": lambda: _through_ingress(settings.PORT, settings.DASHBOARD_HOST),
        "worker-deploy": lambda: _worker("deploy@berth"),
        "worker-build": lambda: _worker("build@berth"),
        "worker-transfer": lambda: _worker("transfer@berth"),
        "agent": lambda: _agent(supervisor.started_at("agent")),
        "waker": lambda: nflog.is_bound(asleep.group(settings.BERTH_PREFIX)),
    }


def wait(
    name: str, answers: Answer, supervisor: Supervisor, installation: Installation, seconds: float
) -> None:
    """Until `name` answers. A process that supervisord gave up on is not waited for."""
    deadline = time.monotonic() + seconds
    while not answers():
        state = supervisor.states().get(name)
        if state == "FATAL" or time.monotonic() > deadline:
            raise _silent(name, state, installation, seconds)
        time.sleep(0.1)


def _silent(name: str, state: str | None, installation: Installation, seconds: float) -> HostProblem:
    log = installation.process_logs / f"{name}.log"
    tail = log.read_text(errors="replace").splitlines()[-12:] if log.exists() else []
    why = "does not start" if state == "FATAL" else f"did not answer within {seconds:.0f} s"
    return HostProblem(
        f"the process {name} {why}",
        hint=f"Read {log}, then run bin/up again. It ends with:\n    " + "\n    ".join(tail),
    )


def _valkey(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url, socket_timeout=2).ping())
    except redis.RedisError:  # starting, or reading its log
        return False


def _through_ingress(port: int, host: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz/", headers={"Host": f"{host}:{port}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _worker(node: str) -> bool:
    from paas.celery import app  # noqa: PLC0415 - reads the environment, which bin/up has just made

    try:
        return bool(app.control.inspect(destination=[node], timeout=1.0).ping())
    except OSError:
        return False


def _agent(started: float) -> bool:
    """Whether it gave a sign of life in this life of it: Valkey keeps those of the one before."""
    from django.core.cache import cache  # noqa: PLC0415 - needs Django, which needs the environment

    from paas.agent.run import HEARTBEAT  # noqa: PLC0415 - the same

    try:
        beat: float | None = cache.get(HEARTBEAT)
    except redis.RedisError:
        return False
    return beat is not None and beat >= started


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
