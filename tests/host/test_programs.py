"""The processes: whole argument lists, and a configuration that supervisor itself reads back."""

from __future__ import annotations

import shlex
from configparser import RawConfigParser
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

import paas.worker.tasks  # noqa: F401 - registers them
from paas.celery import app as celery
from paas.host.answers import questions
from paas.host.installation import Installation
from paas.host.programs import Program, ingress, programs, render, supervisord
from paas.host.supervisor import Supervisor
from paas.paths import Paths
from tenants.inspections import actions as inspections
from tenants.isolation import actions as isolation
from tenants.registries import actions as registries

HERE = Installation(Path("/clone"), Paths(state=Path("/state"), run=Path("/run/b")))
PARTS = {part.name: part for part in programs(HERE, Path("/bin/valkey-server"), 8080, "bx")}
OF_ROOT = {"worker-deploy", "worker-build", "worker-transfer", "agent", "waker"}


def test_only_what_needs_root_runs_as_root() -> None:
    assert {name for name, part in PARTS.items() if part.user is None} == OF_ROOT


def test_worker_and_agent_live_in_berths_mount_namespace() -> None:
    assert {name for name, part in PARTS.items() if part.in_mounts} == OF_ROOT
    assert command(PARTS["agent"]) == [
        "/state/venv/bin/python", "-m", "paas.host.forked", "--mounts=/run/b/ns/mount", "--",
        "manage.py", "agent",
    ]  # fmt: skip
    assert command(PARTS["waker"])[:5] == [
        "/usr/bin/setpriv", "--pdeathsig=TERM", "--", "/usr/bin/nsenter", "--mount=/run/b/ns/mount",
    ]  # fmt: skip


def test_the_waker_reads_no_settings_and_loads_no_library() -> None:
    assert PARTS["waker"].argv == ("/state/venv/bin/python", "-S", "-m", "paas.sleep.waker", "bx", "/run/b")


def test_what_is_ours_is_forked_and_the_rest_executed() -> None:
    assert {name for name, part in PARTS.items() if not part.forked} == {"valkey", "caddy", "waker"}


def test_roll_outs_wait_in_threads_and_builds_in_processes_that_can_be_killed() -> None:
    pools = {name: PARTS[name].argv[-2:] for name in PARTS if name.startswith("worker-")}
    assert pools == {
        "worker-deploy": ("--pool=threads", "--concurrency=32"),
        "worker-build": ("--pool=prefork", "--concurrency=4"),
        "worker-transfer": ("--pool=threads", "--concurrency=32"),
    }
    assert PARTS["worker-build"].kill_group


def test_what_waits_for_registries_and_files_holds_up_no_build_and_no_roll_out() -> None:
    tasks = {task for task in celery.tasks if task.startswith("berth.")}
    queues = {task: celery.amqp.router.route({}, task)["queue"].name for task in tasks}
    assert {task for task in tasks if queues[task] == "build"} == {"berth.build"}
    transfers = {"berth.push", "berth.export", "berth.upkeep", "berth.inspect", "berth.isolation"}
    transfers |= {"berth.volume", "berth.measure"}
    assert {task for task in tasks if queues[task] == "transfer"} == transfers
    words = {word for part in PARTS.values() for word in part.argv}
    assert {f"--queue={queue}" for queue in queues.values()} == {w for w in words if w.startswith("--queue=")}


def test_one_tenant_cannot_take_all_of_the_threads_for_transfers() -> None:
    (threads,) = (word for word in PARTS["worker-transfer"].argv if word.startswith("--concurrency="))
    most = registries.MOST_AT_ONCE + registries.MOST_EXPORTS
    most += inspections.MOST_WAITING + isolation.MOST_AT_ONCE
    assert most < int(threads.partition("=")[2])


def test_each_process_is_asked_whether_it_answers() -> None:
    assert set(questions(HERE, Supervisor(HERE))) == set(PARTS)


def test_web() -> None:
    assert PARTS["web"].argv == (
        "gunicorn", "--bind=unix:/run/b/sockets/web.sock", "--umask=007", "--user=berth", "--group=berth",
        "--no-control-socket", "--worker-tmp-dir=/dev/shm", "--timeout=120", "--worker-class=gthread",
        "--workers=1", "--threads=8", "--graceful-timeout=8", "paas.wsgi:application",
    )  # fmt: skip


def test_valkey_leaves_its_environment_as_it_was() -> None:
    words = PARTS["valkey"].argv
    assert words[words.index("--set-proc-title") + 1] == "no"


@pytest.mark.parametrize("name", ["valkey", "caddy"])
def test_foreign_programs_see_none_of_the_settings_but_whose_they_are(name: str) -> None:
    assert PARTS[name].argv[:7] == (
        "/usr/bin/env", "-i", f"HOME=/state/{name}", f"XDG_CONFIG_HOME=/state/{name}",
        f"XDG_DATA_HOME=/state/{name}", "BERTH_STATE=/state", f"SUPERVISOR_PROCESS_NAME={name}",
    )  # fmt: skip


def test_the_ingress_alone_outlives_supervisord() -> None:
    assert {name for name, part in PARTS.items() if not part.dies_with_supervisord} == {"caddy"}


def command(part: Program) -> list[str]:
    """As supervisord runs it."""
    parser = RawConfigParser()
    parser.read_string(render(HERE, (part,)))
    return shlex.split(parser[f"program:{part.name}"]["command"])


@pytest.mark.parametrize("name", ["valkey", "caddy"])
def test_what_answers_the_network_has_no_privilege_and_can_gain_none(name: str) -> None:
    part = PARTS[name]
    words = command(part)[: -len(part.argv)]
    assert words == [
        "/usr/bin/setpriv", *(["--pdeathsig=TERM"] if name != "caddy" else []), "--reuid=berth",
        "--regid=berth", "--clear-groups", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all",
        "--no-new-privs", "--",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["web", "streams"])
def test_what_is_forked_to_answer_the_network_gives_up_root(name: str) -> None:
    start = ["/state/venv/bin/python", "-m", "paas.host.forked", "--user=berth", "--", "gunicorn"]
    assert command(PARTS[name])[: len(start)] == start


def test_not_even_root_restarts_the_machine_or_sets_its_clock() -> None:
    dropped = "--bounding-set=-sys_boot,-sys_time,-sys_rawio,-mac_admin,-mac_override,-wake_alarm"
    assert supervisord(HERE) == (
        "/usr/bin/setpriv", dropped, "--", "/state/venv/bin/python", "-m", "paas.host.supervisord",
        "--configuration=/state/supervisord.conf",
    )  # fmt: skip


def test_caddy_gets_one_right_for_a_low_port_and_no_other() -> None:
    kept = "-all,+net_bind_service"
    assert command(ingress(HERE, 80))[1:9] == [
        "--reuid=berth", "--regid=berth", "--clear-groups", f"--inh-caps={kept}", f"--ambient-caps={kept}",
        f"--bounding-set={kept}", "--no-new-privs", "--",
    ]  # fmt: skip
    assert ingress(HERE, 80).argv == ingress(HERE, 1024).argv


def test_supervisor_reads_back_what_was_meant(tmp_path: Path) -> None:
    """Percent signs, spaces and quotes survive its configuration file."""
    here = Installation(tmp_path, Paths(state=tmp_path, run=tmp_path))
    here.process_logs.mkdir(parents=True)
    here.supervisor_socket.parent.mkdir()
    here.code.mkdir()
    argv = ("/bin/echo", "100%", "a b", "it's")
    file = tmp_path / "supervisord.conf"
    file.write_text(render(here, (Program("hard", argv, stop_seconds=7, kill_group=True),)))

    options = ServerOptions()
    options.realize(["-c", str(file)])
    [group] = options.process_group_configs
    [process] = group.process_configs
    assert tuple(shlex.split(process.command))[-len(argv) :] == argv
    assert (process.stopwaitsecs, process.killasgroup) == (7, True)


def test_the_control_socket_is_roots_alone() -> None:
    parser = RawConfigParser()
    parser.read_string(render(HERE, tuple(PARTS.values())))
    assert parser["unix_http_server"]["chmod"] == "0700"
    assert parser["unix_http_server"]["file"] == "/run/b/supervisor/socket"
