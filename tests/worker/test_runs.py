"""One-off commands on the real kernel, through every way that a worker can leave one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from paas.errors import Conflict, StepFailed
from paas.worker import commands, engine, launch, runs
from paas.worker.reconcile import reconcile
from paas.worker.sweep import due_runs, forgotten_runs
from tenants.containers import observations as containers
from tenants.containers.following import Following
from tenants.containers.logs import read_app_log
from tenants.containers.models import Container
from tenants.releases.actions import scale
from tenants.runs import observations
from tenants.runs.actions import cancel_run, start_run
from tenants.runs.command import Command
from tenants.runs.logs import read_run_log
from tenants.runs.models import Run
from tests.runtime.conftest import Bed
from tests.worker.host import MIB, Host

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]


def asked(host: Host, command: Command) -> Run:
    return start_run(actor=host.cast.developer, app=host.cast.app, command=command)


def fresh(run: Run) -> Run:
    return Run.objects.select_related("container", "app__tenant", "release").get(pk=run.pk)


def settled(run: Run) -> Run:
    runs.settle(run.pk)
    return fresh(run)


def at_its_end(run: Run) -> Run:
    """As the agent would: wait for its exit, then have it noticed."""
    run = settled(run)
    if run.container and run.status == Run.Status.RUNNING:
        engine.runtime().wait(run.container.pk, 20)
    return settled(run)


def claimed(run: Run) -> Container:
    row = observations.claim(fresh(run), process_type="run", memory_limit=96 * MIB)
    assert row is not None
    return row


def begun(run: Run) -> Container:
    """Started by a worker that died before it could say so in the run's own row."""
    row, run = claimed(run), fresh(run)
    args = run.command if isinstance(run.command, list) else []
    launch.bring_up(row, commands.spec(row, run.release, commands.process(run.release, "run", args)))
    return row


def lines(run: Run) -> list[tuple[str, str]]:
    return [(line.stream, line.text) for line in read_run_log(fresh(run)).lines]


def test_a_command_runs_with_the_apps_image_config_and_limits(host: Host) -> None:
    script = "echo $GREETING $COLOUR $BERTH_PROCESS; id -u; echo oops >&2; exit 3"
    run = at_its_end(asked(host, ["sh", "-c", script]))
    assert (run.status, run.exit_code, run.reason) == ("exited", 3, "exited with status 3")
    assert run.started_at and run.finished_at and run.finished_at >= run.started_at
    assert sorted(lines(run)) == [("stderr", "oops"), ("stdout", "1000"), ("stdout", "hello blue run")]
    assert run.container and run.container.memory_limit == 96 * MIB and run.container.address is None
    assert host.is_clean()


def test_the_operators_limits_on_the_disk_are_its_own(host: Host, settings: Any) -> None:
    settings.IO_BYTES, settings.IO_OPERATIONS = 7 * MIB, 70
    run = asked(host, ["true"])
    spec = commands.spec(claimed(run), run.release, commands.process(run.release, "run", ["true"]))
    assert (spec.limits.io_bytes, spec.limits.io_operations) == (7 * MIB, 70)
    assert spec.limits.memory_bytes == 96 * MIB


def test_a_text_is_for_the_containers_shell(host: Host) -> None:
    assert lines(at_its_end(asked(host, "echo $COLOUR | cat"))) == [("stdout", "blue")]


def test_what_is_no_program_fails_and_says_so(host: Host) -> None:
    run = settled(asked(host, ["nonsense"]))
    assert run.status == "failed" and run.error and "nonsense" in run.error["summary"]
    assert host.is_clean()


def test_a_cancel_asks_then_kills(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "GRACE_SECONDS", 0.5)
    polite = asked(host, ["sh", "-c", 'trap "exit 7" TERM; echo up; while :; do sleep 0.05; done'])
    stubborn = asked(host, ["sh", "-c", 'trap "" TERM; echo up; while :; do sleep 0.05; done'])
    for run, code in ((polite, 7), (stubborn, 137)):
        assert settled(run).status == "running"
        while not lines(run):
            time.sleep(0.02)
        cancel_run(actor=host.cast.owner, run=fresh(run))
        ended = settled(run)
        assert (ended.status, ended.exit_code) == ("cancelled", code)
    assert host.is_clean()


def test_a_cancel_before_its_start_starts_nothing(host: Host) -> None:
    run = asked(host, ["sleep", "60"])
    cancel_run(actor=host.cast.owner, run=run)
    assert settled(run).status == "cancelled" and host.is_clean()


def test_a_time_limit_ends_it(host: Host) -> None:
    run = settled(asked(host, ["sleep", "60"]))
    assert run.status == "running" and due_runs() == []
    Run.objects.filter(pk=run.pk).update(deadline=1.0)
    assert due_runs() == [run.pk]
    assert settled(run).status == "timed-out" and host.is_clean()


def test_an_end_that_nobody_told_of_is_found(host: Host) -> None:
    run = settled(asked(host, ["sh", "-c", "sleep 0.3; exit 5"]))
    assert run.container
    engine.runtime().wait(run.container.pk, 10)
    assert due_runs() == [run.pk]
    assert settled(run).exit_code == 5


def test_a_worker_that_died_before_the_start_leaves_a_run_that_failed(host: Host) -> None:
    run = asked(host, ["sleep", "60"])
    claimed(run)
    assert due_runs() == [run.pk] and forgotten_runs() == []
    ended = settled(run)
    assert ended.status == "failed" and ended.error and "was not started" in ended.error["summary"]
    assert ended.container and ended.container.status == "stopped" and ended.container.address is None
    assert host.is_clean()


def test_a_command_that_may_have_begun_is_adopted_and_never_begun_again(host: Host) -> None:
    run = asked(host, ["sh", "-c", "echo once; sleep 0.5; exit 4"])
    row = begun(run)
    Container.objects.filter(pk=row.pk).update(status=Container.Status.CREATED)
    adopted = settled(run)
    assert adopted.status == "running" and adopted.deadline is not None and due_runs() == []
    assert at_its_end(run).exit_code == 4
    assert lines(run) == [("stdout", "once")]


def test_a_worker_that_died_between_its_two_records_loses_no_exit_code(host: Host) -> None:
    run = asked(host, ["sh", "-c", "exit 9"])
    row = begun(run)
    state = engine.runtime().wait(row.pk, 10)
    launch.record_end(row, state, reason=launch.describe_end(state))
    assert (settled(run).status, fresh(run).exit_code) == ("exited", 9)


def test_one_that_vanished_with_its_host_is_lost(host: Host) -> None:
    run = settled(asked(host, ["sleep", "60"]))
    assert run.container
    engine.runtime().delete(run.container.pk)
    ended = settled(run)
    assert ended.status == "failed" and ended.error and "without a trace" in ended.error["summary"]


def test_a_container_that_was_taken_down_while_it_started_is_off_the_host(host: Host) -> None:
    run = asked(host, ["sleep", "60"])
    row = claimed(run)
    containers.stopped(row, exit_code=None, exit_signal=None, oom_killed=False, reason="its app was destroyed")
    wanted = commands.process(host.release, "run", ["sleep", "60"])
    with pytest.raises(Conflict, match="taken down while it started"):
        launch.bring_up(row, commands.spec(row, host.release, wanted))
    assert host.is_clean()


def test_an_app_that_is_being_destroyed_starts_nothing(host: Host) -> None:
    run = asked(host, ["true"])
    type(host.cast.app).objects.filter(pk=host.cast.app.pk).update(destroyed_at=run.created_at)
    assert settled(run).status == "queued" and host.is_clean()


def test_the_oldest_are_forgotten_with_their_logs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "KEPT", 1)
    old, new = (at_its_end(asked(host, ["echo", word])) for word in ("old", "new"))
    assert list(Run.objects.all()) == [new] and old.container
    assert not Container.objects.filter(pk=old.container.pk).exists()
    left = sorted(path.name for path in (engine.runtime().paths.state / "logs/containers").iterdir())
    assert new.container and left == [f"{new.container.pk}.log"]


def test_a_release_command_goes_the_same_way(host: Host) -> None:
    host.release.release_command = ["sh", "-c", "echo $COLOUR; exit 1"]
    with pytest.raises(StepFailed, match="release command exited with status 1") as caught:
        commands.run_command(host.cast.app, host.release)
    assert caught.value.details["output"] == ["blue"]
    row = host.cast.app.containers.get(process_type="release")
    assert row.memory_limit == 96 * MIB and row.exit_code == 1
    host.release.release_command = ["true"]
    commands.run_command(host.cast.app, host.release)
    assert host.is_clean()


def test_the_error_of_a_release_command_has_the_last_that_it_printed(host: Host) -> None:
    """In the middle of a flood, and without an end of its line."""
    host.release.release_command = ["sh", "-c", "seq 1 100000; printf 'the reason'; exit 1"]
    with pytest.raises(StepFailed) as caught:
        commands.run_command(host.cast.app, host.release)
    assert caught.value.details["output"] == [*map(str, range(99_962, 100_001)), "the reason"]


def test_what_a_release_command_prints_is_in_the_apps_log(host: Host) -> None:
    app, release = host.cast.app, host.release
    process = containers.new_container(
        app=app, release=release, build=None, kind=Container.Kind.PROCESS, process_type="web", index=1,
        memory_limit=MIB,
    )  # fmt: skip
    follower, _ = Following.begin(app, "", 10)
    release.release_command = ["echo", "made tables"]
    commands.run_command(app, release)
    told = [("release.1", "made tables")]
    assert [(line.container, line.text) for line in follower.read()[0]] == told
    assert [(line.container, line.text) for line in read_app_log(app, 10)] == told
    process.delete()


def test_a_release_command_has_a_time_limit(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "COMMAND_SECONDS", 0.3)
    host.release.release_command = ["sleep", "60"]
    with pytest.raises(StepFailed, match="ran for more than"):
        commands.run_command(host.cast.app, host.release)
    assert host.is_clean()


def test_where_the_quota_of_processes_is_used_up_who_starts_is_told_so(host: Host) -> None:
    cast = host.cast
    cast.tenant.pids = 12
    cast.tenant.save()
    holding = "for i in 1 2 3 4 5 6 7; do sleep 60 & done; wait"
    process = {"name": "worker", "args": ["sh", "-c", holding], "memory_bytes": 32 * MIB, "count": 1}
    cast.app.releases.update(processes=[process])
    reconcile(cast.app.pk)
    Bed.until(lambda: engine.runtime().tenant_usage(cast.tenant.pk).pids > 8)
    run = at_its_end(asked(host, "true"))
    assert run.status == "failed" and run.error is not None
    assert run.error["summary"] == "no processes left: 9 of the tenant's quota of 12 (threads count) are in use"
    assert "berth scale web=0, then web=1" in run.error["hint"]
    scale(actor=cast.owner, app=cast.app, formation={"worker": 0})
    reconcile(cast.app.pk)
    assert at_its_end(asked(host, "true")).status == "exited"
