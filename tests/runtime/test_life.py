"""Create, start, stop, delete: outcomes, also of the ways in which they fail."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from paas.errors import BadInput, CommandFailed, Conflict, HostProblem, NotFound, Refused, StepFailed
from paas.linux import mounts
from paas.linux.cgroups import Cgroup, host_tree
from paas.linux.namespaces import is_first_of_its_own
from paas.logs import read_tail
from paas.runtime.space import Space
from tests.runtime.conftest import BASE, CGROUP_ROOT, Bed

pytestmark = pytest.mark.kernel


def test_a_life_from_create_to_delete(bed: Bed) -> None:
    spec = bed.spec("echo $GREETING; echo to stderr >&2; exit 3")
    bed.made.append(spec.id)
    assert bed.runtime.state(spec.id).status == "absent"
    pid = bed.runtime.create(spec, bed.log(spec))
    created = bed.runtime.state(spec.id)
    assert (created.status, created.pid) == ("created", pid)
    assert Path(f"/proc/{pid}/ns/net").exists()
    assert spec.id in bed.runtime.list()
    bed.runtime.start(spec.id)
    bed.runtime.start(spec.id)
    ended = bed.runtime.wait(spec.id, 20)
    assert (ended.status, ended.exit_code, ended.exit_signal, ended.oom_killed) == ("stopped", 3, None, False)
    assert [(line.stream, line.text) for line in read_tail(bed.log(spec), 9)] == [
        ("stdout", "hello"),
        ("stderr", "to stderr"),
    ]
    bed.runtime.delete(spec.id)
    assert bed.runtime.state(spec.id).status == "absent"
    assert bed.leftovers(spec.id) == []
    bed.runtime.delete(spec.id)
    assert bed.log(spec).exists()


def test_stop_asks_first(bed: Bed) -> None:
    spec = bed.launch(bed.spec("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"))
    bed.until(lambda: "up" in bed.output(spec))
    begin = time.monotonic()
    bed.runtime.stop(spec.id)
    assert time.monotonic() - begin < 5
    assert bed.runtime.state(spec.id).exit_code == 7
    assert bed.output(spec)[-1] == "bye"


def test_stop_sends_the_images_own_signal(bed: Bed) -> None:
    spec = bed.spec("trap 'exit 9' INT; echo up; while :; do sleep 0.05; done", stop_signal="INT")
    bed.launch(spec)
    bed.until(lambda: "up" in bed.output(spec))
    bed.runtime.stop(spec.id)
    assert bed.runtime.state(spec.id).exit_code == 9


def test_stop_kills_what_ignores_it(bed: Bed) -> None:
    spec = bed.launch(bed.spec("trap '' TERM; echo up; (sleep 300) & while :; do sleep 0.05; done"))
    bed.until(lambda: "up" in bed.output(spec))
    begin = time.monotonic()
    bed.runtime.stop(spec.id, timeout=0.3)
    assert 0.3 <= time.monotonic() - begin < 5
    assert bed.runtime.state(spec.id).exit_signal == signal.SIGKILL
    assert bed.runtime.usage(spec.id).pids == 0


def test_signal_of_the_command_is_recorded(bed: Bed) -> None:
    state = bed.finish(bed.spec("kill -SEGV $$"))
    assert state.exit_signal == signal.SIGSEGV


def test_stop_of_what_has_only_been_created(bed: Bed) -> None:
    spec = bed.spec("sleep 60")
    bed.runtime.create(spec, bed.log(spec))
    bed.runtime.stop(spec.id)
    assert bed.runtime.state(spec.id).status == "stopped"
    bed.runtime.delete(spec.id)
    assert bed.leftovers(spec.id) == []


def test_start_of_what_ended_before_says_so(bed: Bed) -> None:
    spec = bed.spec("sleep 60")
    pid = bed.runtime.create(spec, bed.log(spec))
    os.kill(pid, signal.SIGKILL)
    assert bed.runtime.wait(spec.id, 10).status == "stopped"
    with pytest.raises(CommandFailed, match="is not running"):
        bed.runtime.start(spec.id)


def test_delete_takes_down_what_runs(bed: Bed) -> None:
    spec = bed.launch(bed.spec("(sleep 300 &) ; sleep 300"))
    begin = time.monotonic()
    bed.runtime.delete(spec.id)
    assert time.monotonic() - begin < 5
    assert bed.leftovers(spec.id) == []


def test_what_an_earlier_berth_started_is_found_and_leaves_nothing(bed: Bed) -> None:
    """It had a cgroup for each app, and a container's below."""
    spec = bed.spec("sleep 60", app_id="e" * 12)
    folder = host_tree().root("memory") / CGROUP_ROOT[1:] / bed.tenant.id / spec.app_id
    (folder / spec.id).mkdir(parents=True)
    bed.launch(spec)
    there = Cgroup(f"{CGROUP_ROOT}/{bed.tenant.id}/{spec.app_id}/{spec.id}")
    assert bed.runtime.state(spec.id).pid in there.pids()
    bed.runtime.delete(spec.id)
    assert not folder.exists() and not bed.leftovers(spec.id)


def test_create_twice_is_a_conflict_and_spares_the_first(bed: Bed) -> None:
    spec = bed.launch(bed.spec("sleep 60"))
    with pytest.raises(Conflict):
        bed.runtime.create(spec, bed.log(spec))
    assert bed.runtime.state(spec.id).status == "running"


@pytest.mark.parametrize(
    ("changes", "error", "summary"),
    [
        ({"args": ("gunicorn", "app:app")}, StepFailed, "cannot start: no such file: gunicorn"),
        ({"args": ("./run.sh",)}, StepFailed, "cannot start: no such file: ./run.sh"),
        ({"args": ("/etc/passwd",)}, StepFailed, "cannot start: not executable: /etc/passwd"),
        ({"args": ()}, BadInput, "cannot start: there is no command"),
        ({"user": "nobody"}, BadInput, "cannot start: the image has no user 'nobody'"),
        ({"user": "app:none"}, BadInput, "cannot start: the image has no group 'none'"),
        ({"user": "far"}, Refused, "cannot start as 'far': id 70000 is beyond the tenant's 65536 ids"),
        ({"user": "65536"}, Refused, "cannot start as '65536': id 65536 is beyond the tenant's 65536 ids"),
        ({"layers": ("sha256:" + "0" * 64,)}, HostProblem, "cannot mount the root file system at "),
        ({"layers": ("sha256:../../../etc",)}, BadInput, "not a layer's DiffID: 'sha256:../../../etc'"),
    ],
)
def test_a_failed_create_leaves_nothing(
    bed: Bed, changes: dict[str, object], error: type[Exception], summary: str
) -> None:
    spec = replace(bed.spec("true"), **changes)  # type: ignore[arg-type]
    with pytest.raises(error) as caught:
        bed.runtime.create(spec, bed.log(spec))
    assert str(caught.value).startswith(summary)
    assert bed.leftovers(spec.id) == []
    assert not (bed.paths.disks / bed.tenant.id / "containers" / spec.id).exists()


def test_what_the_runtime_says_reaches_the_error(bed: Bed) -> None:
    spec = bed.spec("true", workdir="/etc/passwd/sub")
    with pytest.raises(HostProblem, match=r"the runtime cannot create container .*: .+"):
        bed.runtime.create(spec, bed.log(spec))
    assert bed.leftovers(spec.id) == []


def test_what_the_caller_does_beside_is_done_once_when_the_process_has_its_namespaces(bed: Bed) -> None:
    told: list[tuple[int, bool]] = []
    spec = bed.spec("sleep 60")
    pid = bed.runtime.create(spec, bed.log(spec), lambda pid: told.append((pid, is_first_of_its_own(pid))))
    bed.made.append(spec.id)
    assert told == [(pid, True)]


def test_when_what_the_caller_does_beside_fails_nothing_is_left(bed: Bed) -> None:
    spec = bed.spec("true")

    def fail(pid: int) -> None:
        raise HostProblem("no address")

    with pytest.raises(HostProblem, match="no address"):
        bed.runtime.create(spec, bed.log(spec), fail)
    assert bed.leftovers(spec.id) == []


def test_a_prepared_tenant_is_prepared_again_when_something_of_it_is_gone(bed: Bed) -> None:
    space = Space(bed.paths, CGROUP_ROOT, bed.tenant.id)
    before = space.prepared.stat().st_ino
    bed.runtime.prepare_tenant(bed.tenant)
    assert space.prepared.stat().st_ino == before
    mounts.unmount(space.layers)
    bed.runtime.prepare_tenant(bed.tenant)
    assert mounts.is_mounted(space.layers)
    bed.runtime.prepare_tenant(replace(bed.tenant, quota=replace(bed.tenant.quota, pids=150)))
    assert space.slice.effective().pids == 150
    bed.runtime.prepare_tenant(bed.tenant)
    assert space.slice.effective().pids == bed.tenant.quota.pids


def test_a_stop_signal_that_is_none_is_told_at_the_start(bed: Bed) -> None:
    spec = bed.spec("true", stop_signal="SIGFOO")
    with pytest.raises(BadInput, match="no such signal: SIGFOO"):
        bed.runtime.create(spec, bed.log(spec))
    assert bed.leftovers(spec.id) == []


def test_a_working_folder_cannot_be_a_descriptor_of_the_runtimes(bed: Bed) -> None:
    spec = bed.spec("pwd", workdir="/proc/self/fd/7")
    with pytest.raises(Refused, match="/proc/self/fd/7 is a place of the kernel's"):
        bed.runtime.create(spec, bed.log(spec))
    assert bed.leftovers(spec.id) == []


def test_unprepared_tenant(bed: Bed) -> None:
    spec = bed.spec("true", tenant=replace(bed.tenant, id="f" * 12))
    with pytest.raises(HostProblem, match="is not prepared"):
        bed.runtime.create(spec, bed.log(spec))


def test_unknown_container(bed: Bed) -> None:
    with pytest.raises(NotFound):
        bed.runtime.start("0" * 12)
    bed.runtime.stop("0" * 12)
    assert bed.runtime.wait("0" * 12, 1).status == "absent"


def test_a_container_survives_its_creator(bed: Bed) -> None:
    """conmon is nobody's child and in a cgroup of its own: a worker that is killed takes nothing along."""
    spec = bed.spec("sleep 0.5; echo still here; exit 4")
    bed.made.append(spec.id)
    child = os.fork()
    if child == 0:
        bed.runtime.create(spec, bed.log(spec))
        bed.runtime.start(spec.id)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    conmon = int((bed.paths.bundles / spec.id / "conmon.pid").read_text())
    assert f"{CGROUP_ROOT}/_conmon/{bed.tenant.id}" in Path(f"/proc/{conmon}/cgroup").read_text()
    assert os.getsid(conmon) not in (os.getsid(0), child)
    assert bed.runtime.wait(spec.id, 20).exit_code == 4
    assert bed.output(spec) == ["still here"]


def test_losing_conmon_is_an_end_without_a_trace(bed: Bed) -> None:
    spec = bed.launch(bed.spec("sleep 60"))
    os.kill(int((bed.paths.bundles / spec.id / "conmon.pid").read_text()), signal.SIGKILL)
    assert bed.runtime.state(spec.id).status == "running"
    bed.runtime.stop(spec.id, timeout=0)
    state = bed.runtime.state(spec.id)
    assert (state.status, state.exit_code) == ("stopped", None)


def test_exec_runs_beside_the_command(bed: Bed) -> None:
    spec = bed.launch(bed.spec("sleep 60"))
    done = bed.runtime.exec(spec, ("sh", "-c", "id -u; grep NoNewPrivs /proc/self/status; exit 5"))
    assert (done.status, done.stdout.splitlines()) == (5, ["1000", "NoNewPrivs:\t1"])
    assert bed.runtime.exec(spec, ("id", "-u"), user="0").stdout == "0\n"


def test_an_exec_that_takes_too_long_is_killed_and_one_that_says_too_much_is_cut(bed: Bed) -> None:
    spec = bed.launch(bed.spec("echo up; exec sleep 60"))
    bed.until(lambda: bed.output(spec) == ["up"])
    before = bed.runtime.usage(spec.id).pids
    for command in ("exec sleep 61", "exec yes", "trap '' TERM; exec sleep 62"):
        with pytest.raises(CommandFailed, match="no end within"):
            bed.runtime.exec(spec, ("sh", "-c", command), timeout=0.5, keep=9)
    bed.until(lambda: bed.runtime.usage(spec.id).pids == before)
    done = bed.runtime.exec(spec, ("sh", "-c", "yes | head -c 100000"), keep=9)
    assert (done.status, done.stdout) == (0, "y\ny\ny\ny\ny")
    assert not list((bed.paths.bundles / spec.id).glob("exec-*"))


def test_layers_stack(bed: Bed) -> None:
    layers = [BASE]
    for number in range(1, 60):
        name = f"{number:064x}"
        (bed.paths.store / "layers" / name).mkdir(exist_ok=True)
        (bed.paths.store / "layers" / name / "which").write_text(f"{number}\n")
        layers.append(f"sha256:{name}")
    assert bed.says("cat /which", layers=tuple(layers)) == ["59"]
    with pytest.raises(HostProblem, match="cannot stack"):
        bed.runtime.create(spec := bed.spec("true", layers=(*layers, *layers)), bed.log(spec))


def test_folders_however_deep_go_with_their_container(bed: Bed) -> None:
    """Deeper than a Python function may call itself."""
    deep = "import os\nfor _ in range(2_500):\n    os.mkdir('d'); os.chdir('d')\nprint('made')"
    assert bed.python(deep, workdir="/tmp") == ["made"]
    made = bed.made[-1]
    bed.runtime.delete(made)
    assert bed.leftovers(made) == []
    assert not (bed.paths.disks / bed.tenant.id / "containers" / made).exists()
