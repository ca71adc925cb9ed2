"""RUN and its mounts, in real containers."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings

from paas.builder import BuildCancelled
from paas.errors import BadInput, Refused, StepFailed
from paas.worker import engine, quota, step_output
from tenants.fleet.actions import set_quota
from tests.worker.workbench import Workbench

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
FROM = "FROM debian:12\n"
# Goes on when the test says so; not for ever, so that a test that failed has an end.
HELD = "RUN --mount=type=cache,target=/c for n in $(seq 150); do [ -e /c/go ] && break; sleep 0.1; done"


def wait_until(question: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not question():
        assert time.monotonic() < end
        time.sleep(0.05)


def let_go(bench: Workbench) -> None:
    """End a step that is HELD, once it has its cache."""
    folder = settings.PATHS.disks / bench.host.cast.app.tenant_id / "cache"
    wait_until(lambda: folder.exists() and any(folder.iterdir()))
    (next(folder.iterdir()) / "go").touch()


def test_a_run_sees_what_was_set_before_it(bench: Workbench) -> None:
    report = bench.build(
        FROM + "ARG V=arg\nENV E='x y'\nUSER app\nWORKDIR /srv/w\n"
        'RUN echo "$V $E $PWD $HOME" >one; id -u >two\n'
        'RUN ["/bin/sh", "-c", "echo $V > three"]\n'
        "RUN <<END\necho four > four\necho $E >> four\nEND\n"
        "RUN cat > five <<A && cat >> five <<'B'\n$E\nA\n$E\nB\n"
        'RUN <<END\n#!/bin/awk -f\nBEGIN { print "awk" > "/srv/w/six" }\nEND\n'
    )
    assert bench.read(report, "srv/w/one") == "arg x y /srv/w /srv\n"
    assert bench.read(report, "srv/w/two") == "1000\n"
    assert bench.read(report, "srv/w/three") == "arg\n"
    assert bench.read(report, "srv/w/four") == "four\nx y\n"
    assert bench.read(report, "srv/w/five") == "x y\n$E\n"
    assert bench.read(report, "srv/w/six") == "awk\n"
    assert bench.look(report, "srv/w").stat().st_uid == 1000
    assert not (bench.layer(report) / "run").exists()


def test_a_failed_run_names_its_line_and_leaves_nothing(bench: Workbench) -> None:
    with pytest.raises(StepFailed) as caught:
        bench.build(FROM + "RUN true\nRUN echo why; exit 3")
    assert caught.value.summary == "Dockerfile, line 3: `RUN echo why; exit 3` exited with 3"
    assert caught.value.details["log"] == ["why"]
    for line, words in (
        ("USER nobody-knows\nRUN true", "line 3: RUN true: cannot start: the image has no user 'nobody-knows'"),
        ('RUN ["nonsense"]', "line 2: RUN ['nonsense']: cannot start: no such file: nonsense"),
        ("RUN --mount=type=tmpfs,target=/proc/x true", "place of the kernel's"),
    ):
        with pytest.raises((BadInput, Refused, StepFailed)) as refused:
            bench.build(FROM + line)
        assert words.replace("['nonsense']", '["nonsense"]') in str(refused.value)


def test_all_that_a_step_prints_is_in_the_log(bench: Workbench) -> None:
    """However fast it does, and a last line without an end, too."""
    with pytest.raises(StepFailed) as caught:
        bench.build(FROM + "RUN echo fds: $(ls /proc/self/fd); seq 1 100000; printf FINAL; exit 5")
    lines = bench.text.splitlines()
    at = lines.index("1")
    assert lines[at : at + 100_000] == [str(number) for number in range(1, 100_001)]
    assert lines[at - 1] == "fds: 0 1 2 3", "the pipe to us is not open in the container"
    assert caught.value.details["log"][-2:] == ["100000", "FINAL"]


def test_of_a_flood_the_beginning_and_the_end_are_in_the_log(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_output, "MOST", 1_000_000)
    with pytest.raises(StepFailed) as caught:
        bench.build(FROM + "RUN seq 1 1900000; echo FINAL; exit 5")
    lines = bench.text.splitlines()
    gap = next(number for number, line in enumerate(lines) if "bytes of what this step printed" in line)
    at = lines.index("1")
    assert int(lines[gap - 2]) == gap - 1 - at and gap > 100_000, "all before it is there"
    assert [int(line) for line in lines[gap + 1 : -1]] == list(range(int(lines[gap + 1]), 1_900_001))
    left_out = len("".join(f"{n}\n" for n in range(int(lines[gap - 2]) + 1, int(lines[gap + 1]))))
    assert lines[gap].startswith("About ")
    assert abs(int(lines[gap].split()[1].replace(",", "")) - left_out) < left_out / 50
    assert caught.value.details["log"][-1] == "FINAL"


def test_a_step_that_only_prints_can_be_cancelled(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_output, "MOST", 1_000_000)
    with pytest.raises(BuildCancelled):
        bench.build(FROM + "RUN yes", cancelled=lambda: len(bench.text) > 500_000)


def test_a_quota_that_is_lowered_meanwhile_holds_for_the_next_step(bench: Workbench) -> None:
    """For one in a container and for one that copies, too, whose work Berth does itself."""
    tenant = bench.host.cast.tenant
    source = bench.source({f"many/{number}": "x" for number in range(600)})
    with ThreadPoolExecutor(1) as pool:
        held = HELD.replace("for n", "echo begun; for n")
        build = pool.submit(bench.build, FROM + held + "\nRUN echo made >/made\nCOPY many /many\n", source)
        wait_until(lambda: "\nbegun\n" in bench.text)
        set_quota(actor=bench.host.cast.admin, tenant=tenant, changes={"cpu": 250})
        quota.apply_quota(tenant.pk)
        let_go(bench)
        report = build.result(timeout=30)
    assert bench.read(report, "made") == "made\n"


def test_a_run_that_changes_nothing_makes_no_layer(bench: Workbench) -> None:
    """Mount points, and the folders that hold them, are the runtime's."""
    layers = bench.build(FROM + "RUN true").image.layers
    mounted = "RUN --mount=type=tmpfs,target=/srv/deep/er --mount=target=/usr/share/x true"
    assert bench.build(FROM + mounted).image.layers == layers == bench.build(FROM + "ENV A=1").image.layers
    report = bench.build(
        FROM + mounted.replace(" true", " chmod 700 /srv; mkdir /usr/own; ln -s /run /var-run")
    )
    assert sorted(str(path.relative_to(bench.layer(report))) for path in bench.layer(report).rglob("*")) == [
        "srv", "usr", "usr/own", "var-run",
    ]  # fmt: skip
    through = "RUN mkdir /real && ln -s real /var-run\nRUN --mount=type=tmpfs,target=/var-run/x true"
    assert len(bench.build(FROM + through).image.layers) == len(layers) + 1


def test_a_daemon_that_a_run_leaves_behind_ends_with_it(bench: Workbench) -> None:
    report = bench.build(FROM + "RUN (sleep 1000; touch /late) >/dev/null 2>&1 </dev/null & echo made >/made")
    assert bench.read(report, "made") == "made\n"


def test_a_cache_is_kept_and_is_in_no_layer(bench: Workbench) -> None:
    step = "RUN --mount=type=cache,target=/c{} echo {} >> /c/file; cat /c/file > /seen"
    bench.build(FROM + step.format("", 1))
    report = bench.build(FROM + step.format("", 2))
    assert bench.read(report, "seen") == "1\n2\n"
    assert not (bench.layer(report) / "c").exists()
    assert bench.read(bench.build(FROM + step.format(",id=other", 3)), "seen") == "3\n"
    # Another user may write, too, until somebody says whose it is.
    bench.build(FROM + "USER app\nRUN --mount=type=cache,target=/c touch /c/mine")
    owned = "RUN --mount=type=cache,id=own,target=/c,uid=1000,gid=50,mode=0710 stat -c %u:%g:%a /c > /srv/seen"
    assert bench.read(bench.build(FROM + owned), "srv/seen") == "1000:50:710\n"
    with pytest.raises(StepFailed):
        bench.build(FROM + "RUN --mount=type=cache,target=/c,ro touch /c/new")


def test_two_builds_of_the_same_at_once_do_the_work_once(bench: Workbench) -> None:
    step = HELD + "; echo ran >>/c/log; cp /c/log /"
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(bench.build, FROM + step) for _ in range(2)]
        wait_until(lambda: "Step 1/1" in bench.text and "waiting for another build that is at it" in bench.text)
        let_go(bench)
        one, other = (build.result(timeout=30) for build in both)
    assert one.image == other.image
    assert sorted(report.steps_cached for report in (one, other)) == [0, 1]
    assert bench.read(one, "log") == "ran\n"


def test_who_waits_for_another_build_can_be_cancelled(bench: Workbench) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(bench.build, FROM + HELD)
        wait_until(lambda: "Step 1/1" in bench.text)
        with pytest.raises(BuildCancelled):
            bench.build(FROM + HELD, cancelled=lambda: "waiting for another build" in bench.text)
        let_go(bench)
        assert first.result(timeout=30).steps_cached == 0


def test_a_tmpfs_is_empty_and_leaves_nothing(bench: Workbench) -> None:
    report = bench.build(
        FROM + "RUN --mount=type=tmpfs,target=/srv,size=1m touch /srv/x && mount | grep ' /srv ' > /tmp/seen;"
        "dd if=/dev/zero of=/srv/big bs=1M count=2 2>/dev/null || echo full > /tmp/full"
    )
    assert bench.read(report, "tmp/seen").startswith("tmpfs on /srv type tmpfs (rw,nosuid,nodev")
    assert bench.read(report, "tmp/full") == "full\n"
    assert not (bench.layer(report) / "srv").exists()


def test_files_of_a_stage_are_shown_and_stay_as_they_are(bench: Workbench) -> None:
    report = bench.build(
        "FROM debian:12 AS a\nRUN mkdir -p /out/sub && echo made >/out/sub/f && chown 1000 /out/sub/f && "
        "ln -s /out/sub /link && ln -s ../../../../../../../../etc/passwd /up\n"
        + FROM
        + "RUN --mount=from=a,source=/out,target=/in cat /in/sub/f >/one; stat -c %u /in/sub/f >>/one; "
        "touch /in/new 2>/dev/null || echo read-only >>/one\n"
        "RUN --mount=from=a,source=/out,target=/in,rw echo new >/in/sub/f; cat /in/sub/f >/two\n"
        "RUN --mount=from=a,source=/out,target=/in cat /in/sub/f >/three\n"
        "RUN --mount=from=a,source=/link/f,target=/srv/file cat /srv/file >/four\n"
        # A link that would lead out of the stage leads to the stage's own file.
        "RUN --mount=from=a,source=/up,target=/srv/file cat /srv/file >/five\n"
        "RUN --mount=from=debian:12,source=/etc/group,target=/srv/file cat /srv/file >/six"
    )
    assert bench.read(report, "one") == "made\n1000\nread-only\n"
    assert [bench.read(report, name) for name in ("two", "three", "four")] == ["new\n", "made\n", "made\n"]
    assert bench.read(report, "five") == bench.read(report, "etc/passwd")
    assert bench.read(report, "six") == bench.read(report, "etc/group")
    assert [path.name for path in bench.layer(report).rglob("*")] == ["six"]
    with pytest.raises(BadInput, match=r"line 2: .*'/nothing' is not there to be mounted"):
        bench.build(FROM + "RUN --mount=from=debian:12,source=/nothing,target=/x true")


def test_the_source_is_shown_without_what_is_ignored(bench: Workbench) -> None:
    source = bench.source(
        {".dockerignore": "secret\nDockerfile", "a/f": "F", "secret": "S", "host@": "/etc/shadow"}
    )
    step = (
        FROM
        + "RUN --mount=target=/src ls -A /src >/all; cat /src/a/f >>/all; busybox readlink /src/host >>/all; "
        "touch /src/x || echo read-only >>/all"
    )
    report = bench.build(step, source)
    assert bench.read(report, "all") == ".dockerignore\na\nhost\nF/etc/shadow\nread-only\n"
    (source / "secret").write_text("changed")
    assert bench.build(step, source).steps_cached == 2
    one = FROM + "RUN --mount=source=a/f,target=/tmp/g cat /tmp/g >/got"
    assert bench.read(bench.build(one, source), "got") == "F"
    (source / "a/f").write_text("G")
    assert bench.read(bench.build(one, source), "got") == "G"
    for line in ("RUN --mount=source=secret,target=/x true", "RUN --mount=source=none,target=/x true"):
        with pytest.raises(BadInput, match="line 2: "):
            bench.build(FROM + line, source)


def test_a_run_without_a_network(bench: Workbench) -> None:
    report = bench.build(
        FROM + "RUN busybox ip -o link | busybox awk '{print $2}' >/with\n"
        "RUN --network=none busybox ip -o link | busybox awk '{print $2, $3}' >/without\n"
        "RUN --network=default --security=sandbox true"
    )
    assert "eth0" in bench.read(report, "with")
    assert bench.read(report, "without").startswith("lo: <LOOPBACK,UP")
    assert "eth0" not in bench.read(report, "without")


def test_a_full_disk_is_the_tenants_own_and_is_said(bench: Workbench) -> None:
    """The tenant of these tests has 48 MiB."""
    source = bench.source({})
    with (source / "big").open("wb") as file:
        for _ in range(64):
            file.write(b"x" * 1024**2)
    with pytest.raises(StepFailed, match=r"Dockerfile, line 2: COPY big /: your disk is full"):
        bench.build(FROM + "COPY big /", source)
    with pytest.raises(StepFailed, match=r"line 2: `RUN dd .* exited with 1"):
        bench.build(FROM + "RUN dd if=/dev/zero of=/big bs=1M count=64", {})
    assert "No space left" in bench.text
    assert bench.build(FROM + "RUN echo room >/room")


def test_a_neighbour_sees_nothing_of_a_cache_and_is_served_nothing_that_it_made(bench: Workbench) -> None:
    step = "RUN --mount=type=cache,id=shared,target=/c ls /c > /seen; echo poison > /c/tool\n"
    dockerfile = FROM + step + "RUN touch /x"
    bench.build(dockerfile)
    other = bench.host.cast.others_app
    try:
        report = bench.build(dockerfile, app=other)
        assert report.steps_cached == 0
        assert bench.read(report, "seen") == ""
        assert bench.build(dockerfile, app=other).steps_cached == 2
    finally:
        engine.runtime().remove_tenant(other.tenant_id)


def test_a_huge_sparse_file_is_no_layer(bench: Workbench) -> None:
    with pytest.raises(BadInput, match=r"line 2: RUN .* unpacks to more than 8,589,934,592 bytes, at 'huge'"):
        bench.build(FROM + "RUN busybox truncate -s 100G /huge")
