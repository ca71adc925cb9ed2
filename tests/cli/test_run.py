"""`berth run` against a real server; this test plays the worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import connections

from tenants.runs import observations
from tenants.runs.models import Run
from tests.cli.berth import ROOT, Berth
from tests.web.cast import Cast, make_run

APP = "demo/shop"
Outcome = Callable[[Run], object]


def write(run: Run, *lines: tuple[str, str]) -> None:
    """(stream, text) into its log, as conmon would."""
    path = settings.PATHS.container_log(run.container_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as log:
        log.writelines(f"2026-01-01T00:00:01.000000001+00:00 {stream} F {text}\n" for stream, text in lines)


def exits(code: int, reason: str = "exited") -> Outcome:
    def end(run: Run) -> None:
        write(run, ("stdout", "to \x1b]0;gotcha\x07out"), ("stderr", "to err"))
        observations.ended(run, Run.Status.EXITED, exit_code=code, reason=reason)

    return end


def runs_out_of_time(run: Run) -> object:
    return observations.ended(run, Run.Status.TIMED_OUT, exit_code=0, reason="exited")


def fails(run: Run) -> object:
    return observations.failed(run, {"summary": "no such file: nope", "hint": "look at $PATH", "details": {}})


def waits_for_the_cancel(run: Run) -> None:
    write(run, ("stdout", "ready"))
    while not Run.objects.filter(pk=run.pk, cancel_asked_at__isnull=False).exists():
        time.sleep(0.05)
    write(run, ("stdout", "bye"))
    observations.ended(run, Run.Status.CANCELLED, exit_code=143, reason="was ended by signal 15")


@contextmanager
def worker(outcome: Outcome) -> Iterator[None]:
    """Claims the next run and lets `outcome` become of it."""
    given_up = threading.Event()

    def work() -> None:
        while not given_up.wait(0.03):
            waiting = Run.objects.filter(status="queued").select_related("app__tenant", "release").first()
            if waiting is not None:
                assert observations.claim(waiting, process_type="run", memory_limit=1)
                observations.started(waiting, deadline=1e9)
                outcome(waiting)
                break
        connections.close_all()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    given_up.set()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("outcome", "code", "out", "err"),
    [
        (exits(0), 0, "to out\n", "to err"),
        (exits(3), 3, "to out\n", "to err"),
        (exits(137, "ran out of memory and was killed"), 137, "to out\n", "The command ran out of memory"),
        (fails, 1, "", "Error: no such file: nope"),
        (runs_out_of_time, 1, "", "ended after 5 seconds, which is its time limit"),
    ],
)
def test_the_commands_output_and_exit_code_are_its_own(
    berth: Berth, cast: Cast, outcome: Outcome, code: int, out: str, err: str
) -> None:
    berth.sign_in(cast.developer)
    with worker(outcome):
        done = berth.run("run", APP, "--time-limit", "5", "--", "sh", "-c", "echo -- --json")
    assert (done.returncode, done.stdout) == (code, out)
    assert err in done.stderr
    assert (Run.objects.get().command, Run.objects.get().time_limit) == (["sh", "-c", "echo -- --json"], 5)


def test_with_json_one_object_is_printed_and_the_output_stands_beside_it(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.developer)
    with worker(exits(4)):
        done = berth.run("run", "--json", "-a", APP, "--", "true")
    assert done.returncode == 4 and "to out" in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_command_and_shows_its_last_words(
    berth: Berth, cast: Cast, number: signal.Signals
) -> None:
    berth.sign_in(cast.developer)
    argv = [sys.executable, "-P", "-m", "berth_cli", "run", APP, "--", "sleep", "100"]
    env = {"PATH": os.environ["PATH"], "HOME": str(berth.home), "PYTHONPATH": str(ROOT)}
    with worker(waits_for_the_cancel):
        process = subprocess.Popen(
            argv, env=env, cwd=berth.home, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout and process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "bye\n")
    assert "The command was stopped." in err and "Traceback" not in err


def test_without_waiting_then_listed_read_and_cancelled(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.developer)
    done = berth.run("run", APP, "--no-wait", "--", "make", "report")
    run = Run.objects.get()
    assert done.returncode == 0 and f"Run {run.pk} is queued" in done.stdout
    assert f"{run.pk}  queued" in berth.run("runs", "list", "-a", APP).stdout
    assert "Cancelled." in berth.run("runs", "cancel", "-a", APP).stdout
    again = berth.run("runs", "cancel", run.pk, "-a", APP)
    assert again.returncode == 1 and "has ended already" in again.stderr
    with worker(exits(0)):
        make_run(cast.app, cast.owner, "x")
        while Run.objects.filter(status="exited").count() == 0:
            time.sleep(0.05)
    assert berth.run("runs", "log", "-a", APP).stdout == "to out\n"
    assert (
        json.loads(berth.run("runs", "log", "-a", APP, "--json").stdout.splitlines()[0])["stream"] == "stdout"
    )


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("run", APP), 2, "there is no command after --"),
        (("run", APP, "--"), 2, "there is no command after --"),
        (("run", APP, "extra", "--", "ls"), 2, "unexpected extra argument"),
        (("run", "other/blog", "--", "ls"), 1, "there is no app other/blog here"),
        (("run", APP, "--time-limit", "9999999", "--", "ls"), 1, "may run for 1 to 3,600 seconds"),
        (("runs", "log", "-a", APP), 1, "has run no command yet"),
        (("runs", "log", "nope", "-a", APP), 1, "has no run 'nope'"),
    ],
)
def test_mistakes(berth: Berth, cast: Cast, args: tuple[str, ...], code: int, said: str) -> None:
    berth.sign_in(cast.developer)
    wrong = berth.run(*args)
    assert wrong.returncode == code and not wrong.stdout
    assert said in wrong.stderr and "Traceback" not in wrong.stderr


def test_a_viewer_may_not(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.viewer)
    refused = berth.run("run", APP, "--", "ls")
    assert refused.returncode == 1 and "this needs the role developer" in refused.stderr
    assert not Run.objects.exists()
