from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from paas.builder.dockerfile import lower, parse, platforms
from paas.builder.health import health_of, readiness
from paas.builder.modes import parse_mode
from paas.builder.plan import (
    CacheMount,
    Copy,
    Fetch,
    FilesStep,
    Folder,
    ImageSettings,
    Operation,
    Plan,
    RunMount,
    RunStep,
    ScriptMount,
    SecretMount,
    StageMount,
    Write,
)
from paas.errors import BadInput, NotFound
from paas.oci.config import Healthcheck, ImageConfig, parse_config
from paas.specs import MIB, HealthCheck, TmpfsMount

BASE = ImageConfig(
    diff_ids=("sha256:" + "1" * 64,),
    env=(("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8")),
    cmd=("bash",),
)
PARENT = ImageConfig(
    diff_ids=BASE.diff_ids,
    exposed_ports=("9000/tcp",),
    labels=(("of", "parent"), ("kept", "yes")),
    volumes=("/data",),
    healthcheck=Healthcheck(("CMD", "check")),
    author="somebody",
    user="app",
    workdir="/srv",
    stop_signal="SIGINT",
)
TRIGGERS = parse_config(b'{"config": {"OnBuild": ["COPY . /app", "RUN make"]}, "rootfs": {}}')
SUM = "0123456789abcdef" * 4


BASH = ("/bin/bash", "-o", "pipefail", "-c")


def resolve(name: str) -> ImageConfig:
    if name == "bash:1":
        return replace(BASE, shell=BASH)
    if name == "parent:1":
        return PARENT
    if name == "triggers:1":
        return TRIGGERS
    if "@" in name:
        raise BadInput(f"{name!r} is not an image's name", hint='write it as "name:tag", like "debian:12"')
    if name != "debian:12":
        raise NotFound(f"no base image is called {name!r}", hint="this machine has: debian:12")
    return BASE


def plan(text: str, *, target: str = "", args: dict[str, str] | None = None) -> Plan:
    return lower(parse(text), resolve, target=target, build_args=args)


def steps(text: str) -> tuple[object, ...]:
    return plan(f"FROM debian:12\n{text}").stages[-1].steps


def test_settings_of_a_whole_file() -> None:
    made = plan(
        "FROM debian:12\nENV A=1 B='x y'\nENV C two words\nLABEL k=$A\nWORKDIR /srv\nWORKDIR app\n"
        "USER 1000:1000\nEXPOSE 9000 8080/tcp 53/udp 80/udp\nSTOPSIGNAL int\n"
        'ENTRYPOINT ["/bin/a", "b"]\nCMD ["c"]\n'
    )
    assert made.image == ImageSettings(
        env=(("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("A", "1"), ("B", "x y"), ("C", "two words")),
        entrypoint=("/bin/a", "b"),
        cmd=("c",),
        workdir="/srv/app",
        user="1000:1000",
        exposed_ports=("9000/tcp", "8080/tcp", "53/udp", "80/udp"),
        stop_signal="SIGINT",
        labels=(("k", "1"),),
    )
    assert made.command == ("/bin/a", "b", "c")
    assert [step.title for step in made.stages[0].steps] == ["WORKDIR /srv", "WORKDIR app"]


def test_an_images_shell_runs_what_is_built_on_it_and_goes_on_with_it() -> None:
    body = "FROM bash:1 AS a\nRUN a | b\nFROM a\nRUN c\nENTRYPOINT d\nCMD e\nHEALTHCHECK CMD f"
    made = lower(parse(body), resolve)
    runs = [step for stage in made.stages for step in stage.steps if isinstance(step, RunStep)]
    assert [run.args for run in runs] == [(*BASH, "a | b"), (*BASH, "c")]
    assert (made.image.entrypoint, made.image.cmd) == ((*BASH, "d"), (*BASH, "e"))
    assert made.image.shell == BASH
    assert made.health and made.health.command == (*BASH, "f")
    other = lower(parse('FROM bash:1\nSHELL ["/bin/sh", "-c"]\nCMD x'), resolve).image
    assert (other.shell, other.cmd) == (("/bin/sh", "-c"), ("/bin/sh", "-c", "x"))
    assert lower(parse("FROM debian:12\nCMD x"), resolve).image.shell == ()


def test_run_takes_what_was_set_before_it() -> None:
    (folder, run) = steps('ARG V=1\nENV V2=$V\nWORKDIR /x\nUSER app\nSHELL ["/bin/bash", "-ec"]\nRUN echo $V')
    assert folder == FilesStep("WORKDIR /x", (Folder("/x"),), "Dockerfile", 4)  # before USER: root's
    assert run == RunStep(
        title="RUN echo $V",
        args=("/bin/bash", "-ec", "echo $V"),
        env=(("V", "1"), ("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("V2", "1")),
        workdir="/x",
        user="app",
        file="Dockerfile",
        line=7,
    )


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ('RUN ["a", "b"]', ("a", "b")),
        ("RUN [a]", ("/bin/sh", "-c", "[a]")),
        ("RUN <<E\na\nb\nE", ("/bin/sh", "-c", "a\nb\n")),
        ("RUN python3 <<E\nprint(1)\nE", ("/bin/sh", "-c", "python3 <<E\nprint(1)\nE\n")),
        (
            "RUN <<A cat >a && <<B cat >b\n1\nA\n2\nB",
            ("/bin/sh", "-c", "<<A cat >a && <<B cat >b\n1\nA\n2\nB\n"),
        ),
        ("RUN --network=none --security=sandbox a", ("/bin/sh", "-c", "a")),
    ],
)
def test_forms_of_run(text: str, args: tuple[str, ...]) -> None:
    (run,) = steps(text)
    assert isinstance(run, RunStep)
    assert run.args == args
    assert run.network is ("--network=none" not in text)


def test_a_here_document_with_its_own_interpreter() -> None:
    (run,) = steps("RUN <<E\n#!/usr/bin/python3\nprint(1)\nE")
    assert isinstance(run, RunStep)
    assert run.args == ("/run/heredoc/E",)
    assert run.mounts == (ScriptMount("/run/heredoc/E", "#!/usr/bin/python3\nprint(1)\n"),)


@pytest.mark.parametrize(
    ("options", "mount"),
    [
        ("type=cache,target=/root/.cache", CacheMount("/root/.cache", "/root/.cache")),
        ("type=cache,target=rel", CacheMount("/w/rel", "/w/rel")),
        (
            "type=cache,id=../n,dst=/n/,sharing=locked,ro,uid=1000,mode=0700",
            CacheMount("/n", "../n", True, "locked", (1000, 0), 0o700),
        ),
        ("type=tmpfs,target=/t", TmpfsMount("/t")),
        ("type=tmpfs,target=/t,size=64m", TmpfsMount("/t", 64 * MIB)),
        ("type=secret,id=TOKEN", SecretMount("TOKEN", "/run/secrets/TOKEN")),
        ("type=secret,target=/root/KEY,required", SecretMount("KEY", "/root/KEY", required=True)),
        ("type=secret,id=A,env=B", SecretMount("A", env="B")),
        (
            "type=secret,id=A,env=B,target=/s,mode=0440,uid=1,gid=2",
            SecretMount("A", "/s", "B", False, 0o440, 1, 2),
        ),
        ("from=build,source=out,target=/in", StageMount("/in", 0, "/out")),
        ("type=bind,from=0,target=/in,rw", StageMount("/in", 0, "/", True)),
        ('"from=build","target=/a,b"', StageMount("/a,b", 0)),
        ("target=$T,from=build,source=${S:-x}", StageMount("/v", 0, "/x")),
    ],
)
def test_mounts(options: str, mount: RunMount) -> None:
    text = f"FROM debian:12 AS build\nFROM debian:12\nENV T=/v\nWORKDIR /w\nRUN --mount={options} a"
    run = plan(text).stages[-1].steps[-1]
    assert isinstance(run, RunStep)
    assert run.mounts == (mount,)


def test_a_stage_that_is_only_mounted_is_built() -> None:
    made = plan("FROM debian:12 AS a\nRUN x\nFROM debian:12\nRUN --mount=from=a,target=/a y")
    assert [stage.name for stage in made.stages] == ["a", "1"]


def test_the_source_is_mounted_as_a_stage_of_its_own_once() -> None:
    made = plan(
        "FROM debian:12\nRUN --mount=source=a/b,target=/c --mount=target=/all x\n"
        "RUN --mount=source=a/b,target=/d y"
    )
    assert [(stage.base, len(stage.steps)) for stage in made.stages] == [
        ("scratch", 1),
        ("scratch", 1),
        ("debian:12", 2),
    ]
    (copy,), (everything,) = (stage.steps[0].operations for stage in made.stages[:2])  # type: ignore[union-attr]
    assert (copy, everything) == (Copy(("a/b",), "/a/b"), Copy((".",), "/"))
    first, second = made.stages[2].steps
    assert isinstance(first, RunStep)
    assert isinstance(second, RunStep)
    assert first.mounts == (StageMount("/c", 0, "/a/b"), StageMount("/all", 1, "/"))
    assert second.mounts == (StageMount("/d", 0, "/a/b"),)


@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("COPY a b/ /x/", Copy(("a", "b"), "/x/")),
        ("COPY . .", Copy((".",), "/w/")),
        ("COPY a b", Copy(("a",), "/w/b")),
        ('COPY ["a b", "/c"]', Copy(("a b",), "/c")),
        ("COPY --chown=app:app --chmod=0750 /a/../b /c", Copy(("b",), "/c", owner="app:app", mode=0o750)),
        ("COPY $N /c", Copy(("name",), "/c")),
        ("ADD a ../../../c/", Copy(("a",), "/c/", unpack=True)),
        ("ADD --unpack=false a /c", Copy(("a",), "/c")),
        ("COPY --chmod=u=rwX,go=rX a /c", Copy(("a",), "/c", mode=parse_mode("u=rwX,go=rX"))),
        ("COPY --chown=$N --chmod=$M a /c", Copy(("a",), "/c", owner="name", mode=0o640)),
        ("COPY --link=false --exclude=*.md --exclude=b a /c", Copy(("a",), "/c", exclude=("*.md", "b"))),
        ("COPY --parents ./x/./*/y /c/", Copy(("x/./*/y",), "/c/", parents=True)),
        (
            f"ADD --checksum=sha256:{SUM} https://example.org/d/a%20b.tgz?x=1 /c/",
            Fetch("https://example.org/d/a%20b.tgz?x=1", SUM, "/c/", "a b.tgz"),
        ),
        (
            f"ADD --unpack --chmod=0444 --chown=1 --checksum=sha256:{SUM.upper()} http://example.org /c",
            Fetch("http://example.org", SUM, "/c", "c", "1", 0o444, unpack=True),
        ),
        ("COPY <<E /c/\n$N\nE", Write("/c/E", "name\n")),
        ('COPY <<E /c\nit\'s "$N" \\$N\nE', Write("/c", 'it\'s "name" $N\n')),
        ("COPY --chmod=755 <<'E' c\n$N\nE", Write("/w/c", "$N\n", mode=0o755)),
        ("COPY --chmod=+x <<-E c\n\t$N\n\tE", Write("/w/c", "name\n", mode=0o755)),
    ],
)
def test_forms_of_copy(text: str, operation: Operation) -> None:
    made = steps(f"ENV N=name M=640\nWORKDIR /w\n{text}")[-1]
    assert isinstance(made, FilesStep)
    assert made.operations == (operation,)


def test_an_address_and_files_of_the_source_in_one_add() -> None:
    (made,) = steps(f"ADD --checksum=sha256:{SUM} a https://example.org/b c /d/")
    assert isinstance(made, FilesStep)
    assert made.operations == (
        Fetch("https://example.org/b", SUM, "/d/", "b"),
        Copy(("a", "c"), "/d/", unpack=True),
    )


def test_only_stages_that_the_target_needs_are_built() -> None:
    text = (
        "FROM nothing:1 AS unused\nRUN false\nFROM debian:12 AS build\nRUN make\nFROM build AS test\nRUN test\n"
        "FROM debian:12\nCOPY --from=build /out /srv\nCOPY --from=2 /r /r\n"
    )
    made = plan(text)
    assert [(stage.base, stage.name) for stage in made.stages] == [
        ("debian:12", "build"),
        (0, "test"),
        ("debian:12", "3"),
    ]
    copies = [step.operations[0] for step in made.stages[-1].steps if isinstance(step, FilesStep)]
    assert copies == [Copy(("out",), "/srv", 0, None), Copy(("r",), "/r", 1, None)]
    assert [stage.name for stage in plan(text, target="build").stages] == ["build"]


def test_copy_from_an_image_is_a_stage_of_its_own() -> None:
    made = plan("FROM scratch\nCOPY --from=debian:12 /bin/sh /bin/\nCOPY --from=debian:12 /a /b")
    assert [stage.base for stage in made.stages] == ["debian:12", "scratch"]
    assert all(step.operations[0].stage == 0 for step in made.stages[1].steps)  # type: ignore[union-attr]


def test_args_before_and_behind_from() -> None:
    text = "ARG V=12\nARG W=x\nFROM debian:$V AS a\nARG W\nARG X=1\nENV ALL=$V-$W-$X\nFROM a\nENV MORE=$W"
    made = plan(text, args={"X": "2", "W": "y"})
    assert dict(made.image.env)["ALL"] == "-y-2"
    assert dict(made.image.env)["MORE"] == "y"
    assert "X" not in dict(made.image.env)


def test_an_entry_point_drops_the_cmd_of_the_base_image_only() -> None:
    assert plan('FROM debian:12\nENTRYPOINT ["a"]').command == ("a",)
    assert plan('FROM debian:12\nCMD ["b"]\nENTRYPOINT ["a"]').command == ("a", "b")
    assert plan("FROM debian:12").command == ("bash",)
    assert plan("FROM debian:12\nCMD echo $X").command == ("/bin/sh", "-c", "echo $X")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM debian:12", True),
        ("FROM debian:12 AS a\nCMD x\nFROM debian:12", True),
        ("FROM debian:12\nCMD bash", False),
        ('FROM debian:12\nENTRYPOINT ["a"]', False),
        ("FROM debian:12 AS a\nCMD x\nFROM a", False),
        ("FROM parent:1", False),
    ],
)
def test_a_shell_that_came_with_the_base_image_is_no_command(text: str, said: bool) -> None:
    note = plan(text).command_note
    assert ("has no CMD: what runs is the base image's 'bash'" in note) is bool(note) is said


def test_what_a_base_image_says_is_inherited() -> None:
    made = plan("FROM parent:1\nLABEL of=child\nEXPOSE 80-82\nVOLUME logs\nWORKDIR x").image
    assert made.labels == (("of", "child"), ("kept", "yes"))
    assert made.exposed_ports == ("9000/tcp", "80/tcp", "81/tcp", "82/tcp")
    assert made.volumes == ("/data", "/srv/logs")
    assert (made.user, made.workdir, made.stop_signal, made.author) == ("app", "/srv/x", "SIGINT", "somebody")
    assert made.healthcheck == PARENT.healthcheck


def test_a_folder_is_its_users() -> None:
    (folder,) = steps("USER app:staff\nWORKDIR /w/x")
    assert isinstance(folder, FilesStep)
    assert folder.operations == (Folder("/w/x", "app:staff"),)


def test_volumes_are_noted() -> None:
    made = plan('FROM debian:12\nVOLUME ["/a b"]')
    assert made.image.volumes == ("/a b",)
    (note,) = made.notes
    assert note.startswith("Dockerfile, line 2: VOLUME /a b is kept in the image's config")


def test_this_machines_platform_is_accepted() -> None:
    own = platforms.name()
    for text in (own, "linux", own.partition("/")[2], "$BUILDPLATFORM", "${TARGETOS}/${TARGETARCH}"):
        assert plan(f"FROM --platform={text} debian:12\nARG TARGETPLATFORM\nENV P=$TARGETPLATFORM$TARGETOS")
    assert dict(plan("FROM debian:12\nARG BUILDPLATFORM\nENV P=$BUILDPLATFORM").image.env)["P"] == own
    assert dict(plan("FROM debian:12\nENV P=$BUILDPLATFORM").image.env)["P"] == ""
    # A stage for another machine is in nobody's way until it is needed.
    assert plan("FROM --platform=linux/s390x debian:12 AS other\nFROM debian:12")


def test_proxies_need_no_arg_and_have_no_weight() -> None:
    (run,) = plan("FROM debian:12\nRUN a", args={"HTTP_PROXY": "http://p", "X": "x"}).stages[0].steps
    assert isinstance(run, RunStep)
    assert run.unkeyed_env == (("HTTP_PROXY", "http://p"),)
    (run,) = plan("FROM debian:12\nARG HTTP_PROXY\nRUN a", args={"HTTP_PROXY": "http://p"}).stages[0].steps
    assert isinstance(run, RunStep)
    assert (run.unkeyed_env, dict(run.env)["HTTP_PROXY"]) == ((), "http://p")


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("HEALTHCHECK NONE", Healthcheck(("NONE",))),
        ("HEALTHCHECK CMD\tcheck\tit", Healthcheck(("CMD-SHELL", "check\tit"))),
        ("HEALTHCHECK CMD wget -q x || exit 1", Healthcheck(("CMD-SHELL", "wget -q x || exit 1"))),
        (
            "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=1.5s --start-interval=2s --retries=5 "
            'CMD ["a"]',
            Healthcheck(("CMD", "a"), 90 * 10**9, 500 * 10**6, 1500 * 10**6, 2 * 10**9, 5),
        ),
    ],
)
def test_forms_of_healthcheck(text: str, check: Healthcheck) -> None:
    assert plan(f"FROM parent:1\n{text}").image.healthcheck == check


def test_a_healthcheck_becomes_the_apps_check() -> None:
    """Docker gives up after the start period and some failures in a row: so long a deploy waits."""
    assert plan("FROM debian:12").health is None
    assert plan("FROM parent:1\nHEALTHCHECK NONE").health is None
    assert plan("FROM parent:1").health == HealthCheck(
        command=("check",), timeout=90.0, interval=1.0, attempt_timeout=30.0
    )
    shell = plan(
        'FROM debian:12\nSHELL ["bash", "-c"]\nHEALTHCHECK --interval=10ms --timeout=2s CMD a b'
    ).health
    assert shell == HealthCheck(command=("bash", "-c", "a b"), timeout=60.0, interval=0.01, attempt_timeout=2.0)
    slow = Healthcheck(("CMD", "a"), start_period=3600 * 10**9)
    assert (patient := readiness(slow, ())) is not None
    assert patient.timeout == 600.0


@pytest.mark.parametrize(
    ("document", "command"),
    [
        ({"Healthcheck": {"Test": ["CMD", "check", "it"]}}, ("check", "it")),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "a || b"]}}, ("/bin/sh", "-c", "a || b")),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "a"]}, "Shell": ["bash", "-c"]}, ("bash", "-c", "a")),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "a"]}, "Shell": "bash"}, ("/bin/sh", "-c", "a")),
        ({"Healthcheck": {"Test": ["NONE"]}}, ()),
        ({"Healthcheck": {"Test": ["CMD"]}}, ()),
        ({"Healthcheck": {"Interval": 10**9}}, ()),
        ({}, ()),
    ],
)
def test_the_check_of_an_image_that_was_built_elsewhere(
    document: dict[str, Any], command: tuple[str, ...]
) -> None:
    assert health_of(parse_config(json.dumps({"config": document}).encode())).command == command


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("RUN a", 1, "no FROM"),
        ("FROM debian:99", 1, "this machine has: debian:12"),
        ("FROM --platform=linux/s390x debian:12", 1, "--platform=linux/s390x is refused"),
        ("FROM --platform=windows/amd64 debian:12", 1, "is refused"),
        ("FROM --other=x debian:12", 1, "--other is not offered"),
        ("FROM debian:12 debian", 1, "FROM <image> [AS <name>]"),
        ("FROM $NONE", 1, "is empty"),
        ("FROM debian:12 AS a\nFROM debian:12 AS A", 2, "already"),
        ("FROM debian:12\nONBUILD RUN a", 2, "ONBUILD is refused"),
        ("FROM debian:12\nonbuild copy a b", 2, "ONBUILD is refused"),
        ("FROM debian:12 AS a\nFROM triggers:1\nRUN a", 2, "has ONBUILD triggers ('COPY . /app' is the first)"),
        ("FROM debian:12\nVOLUME /", 2, "names no folder"),
        ("FROM debian:12\nVOLUME []", 2, "names no folder"),
        ("FROM debian:12\nVOLUME " + " ".join(f"/{n}" for n in range(101)), 2, "more than 100"),
        ("FROM debian:12\nCOPPY a b", 2, "did you mean COPY?"),
        ("FROM debian:12\nRUN --network=host a", 2, "--network=host is refused"),
        ("FROM debian:12\nRUN --security=insecure a", 2, "--security=insecure is refused"),
        ("FROM debian:12\nRUN --network=other a", 2, "--network=other is refused"),
        ("FROM debian:12\nRUN --device=x a", 2, "--device=x is refused"),
        ("FROM debian:12\nRUN --mount=type=bind,source=../..,target=/h a", 2, "leads out"),
        ("FROM debian:12\nRUN --mount=from=debian:99,target=/h a", 2, "no base image"),
        ("FROM debian:12\nRUN --mount=from=$X,target=/h a", 2, "cannot hold a variable"),
        ("FROM debian:12\nRUN --mount=source=/etc a", 2, "target="),
        ("FROM debian:12\nRUN --mount=target=/ a", 2, "and not /"),
        ("FROM debian:12\nRUN --mount=target=/a,ro=maybe,rw=maybe a", 2, "neither true nor false"),
        ("FROM debian:12\nRUN --mount=type=secret,id=npm-token a", 2, "no config var's name"),
        ("FROM debian:12\nRUN --mount=type=secret a", 2, "no config var's name"),
        ("FROM debian:12\nRUN --mount=type=secret,id=A,mode=999 a", 2, "not a number"),
        ("FROM debian:12\nRUN --mount=type=secret,id=A,uid=70000 a", 2, "not a number up to 65535"),
        ("FROM debian:12\nRUN --mount=type=secret,id=A,env=a-b a", 2, "no variable's name"),
        ("FROM debian:12\nRUN --mount=type=tmpfs,target=/t,size=0 a", 2, "no size"),
        ("FROM debian:12\nRUN --mount=type=tmpfs,target=/t,mode=1 a", 2, "'mode' is not offered"),
        ("FROM debian:12\nRUN --mount=type=ssh a", 2, "type=ssh is refused"),
        ("FROM debian:12\nRUN --mount=type=cache,target=/c,from=x a", 2, "'from' is not offered"),
        ("FROM debian:12\nRUN --mount=type=cache,target=/c,sharing=x a", 2, "none of shared, private, locked"),
        ("FROM debian:12\nRUN --mount=type=cache,target=/c,id=" + "x" * 9000 + " a", 2, "is refused"),
        ("FROM debian:12\nRUN " + "--mount=type=tmpfs,target=/c " * 51 + "a", 2, "more than 50 mounts"),
        ("FROM debian:12\nADD http://93.184.215.14/x /x", 2, "refused without a checksum"),
        ("FROM debian:12\nADD http://[a/b /x/", 2, "check the address"),
        ("FROM debian:12\nADD http://127.0.0.1/x /x", 2, "this machine, which builds do not reach"),
        ("FROM debian:12\nADD http://[::1]:8000/x /x", 2, "this machine, which builds do not reach"),
        ("FROM debian:12\nADD https://Localhost/x /x", 2, "this machine, which builds do not reach"),
        ("FROM debian:12\nADD http://0x7f.1/x /x", 2, "this machine, which builds do not reach"),
        ("FROM debian:12\nADD http://169.254.169.254/x /x", 2, "builds do not reach it; put the file into"),
        ("FROM debian:12\nADD http://10.0.0.1/x /x", 2, "opened it; put the file into the source, and COPY"),
        ("FROM debian:12\nADD --checksum=sha256:12 http://127.0.0.1/x /x", 2, "no SHA-256"),
        ("FROM debian:12\nADD --checksum=md5:12 http://127.0.0.1/x /x", 2, "no SHA-256"),
        (f"FROM debian:12\nADD --checksum=sha256:{SUM} a /x", 2, "is for one address"),
        (f"FROM debian:12\nADD --checksum=sha256:{SUM} http://a/1 http://a/2 /x/", 2, "is for one address"),
        (f"FROM debian:12\nADD --checksum=sha256:{SUM} http://a/ /x/", 2, "no file's name"),
        (f"FROM debian:12\nADD --checksum=sha256:{SUM} http://a/%2e%2e /x/", 2, "no file's name"),
        (f"FROM debian:12\nADD --checksum=sha256:{SUM} http://[a/b /x/", 2, "check the address"),
        (f"FROM debian:12\nADD --checksum=sha256:{SUM} ftp://a/b /x/", 2, "only http and https"),
        ("FROM debian:12\nADD file:///etc/passwd /x", 2, "only http and https"),
        ("FROM debian:12\nADD git@example.org:a/b.git /x", 2, "Git repository is refused"),
        ("FROM debian:12\nADD https://example.org/a/b.git#v1 /x", 2, "Git repository is refused"),
        ("FROM debian:12\nCOPY 3<<E /x\nE", 2, "no descriptors"),
        ("FROM debian:12\nCOPY <<E /x\n${A:?none}\nE", 2, "A is not set: none"),
        ("FROM debian:12\nCOPY ../x /x", 2, "leads out"),
        ("FROM debian:12\nCOPY --from=0 a /x", 2, "no base image"),
        ("FROM debian@sha256:1", 1, "is not an image's name"),
        ("FROM debian:12\nCOPY --from=debian@sha256:1 a /x", 2, "is not an image's name"),
        ("FROM debian:12 AS b\nFROM debian:12\nCOPY --from=b ../../etc /x", 3, "leads out"),
        ("FROM debian:12\nCOPY a b c", 2, "c/, with a slash"),
        ("FROM debian:12\nCOPY a", 2, "names no destination"),
        ("FROM debian:12\nCOPY --unpack a b", 2, "--from, --chown, --chmod, --link, --parents, --exclude"),
        ("FROM debian:12\nADD --from=x a b", 2, "--from is not offered"),
        ("FROM debian:12\nCOPY --from=$X a b", 2, "cannot hold a variable"),
        ("FROM debian:12\nCOPY --link=maybe a b", 2, "neither true nor false"),
        ("FROM debian:12\nCOPY --chmod=u!x a b", 2, "no mode"),
        ("FROM debian:12\nCOPY --chmod=99 a b", 2, "no mode"),
        ("FROM debian:12\nCOPY --parents x/./../../y b/", 2, "leads out"),
        ("FROM debian:12\nCOPY --chown=a:b:c a b", 2, "user[:group]"),
        ("FROM debian:12\nENV", 2, "names nothing"),
        ("FROM debian:12\nENV A", 2, "name=value"),
        ("FROM debian:12\nENV A='b", 2, "without its end"),
        ("FROM debian:12\nARG a-b", 2, "not a name"),
        ("FROM debian:12\nEXPOSE 70000", 2, "not a port"),
        ("FROM debian:12\nEXPOSE 9-8", 2, "not a port"),
        ("FROM debian:12\nEXPOSE 1-60000", 2, "more than 1,000 ports"),
        ("FROM debian:12\nHEALTHCHECK", 2, "no command"),
        ("FROM debian:12\nHEALTHCHECK CMD", 2, "no command"),
        ("FROM debian:12\nHEALTHCHECK CMD []", 2, "empty command"),
        ("FROM debian:12\nHEALTHCHECK --interval=5 CMD a", 2, "no time"),
        ("FROM debian:12\nHEALTHCHECK --interval=99h CMD a", 2, "no time"),
        ("FROM debian:12\nHEALTHCHECK --retries=x CMD a", 2, "no number"),
        ("FROM debian:12\nHEALTHCHECK --delay=1s CMD a", 2, "--delay is not known"),
        ("FROM debian:12\nUSER a b", 2, "USER app"),
        ("FROM debian:12\nSTOPSIGNAL x!", 2, "no such signal"),
        ("FROM debian:12\nSTOPSIGNAL SIGFOO", 2, "no such signal"),
        ("FROM debian:12\nSHELL bash", 2, 'SHELL ["/bin/bash", "-c"]'),
        ("ENV a=b\nFROM debian:12", 1, "comes before FROM"),
        ("FROM debian:12\n" + "ENV A=$A$A$A${A}xxxx\n" * 20, 9, "longer than"),
        (
            "FROM debian:12\n" + "".join(f"ENV A{n}={'x' * 60_000}\n" for n in range(9)),
            10,
            "all values together",
        ),
        (
            "FROM debian:12\n" + "".join(f"LABEL A{n}={'x' * 60_000}\n" for n in range(9)),
            10,
            "all values together",
        ),
        ("FROM debian:12\nRUN " + "x" * 140_000, 2, "longer than 131,071 bytes"),
    ],
)
def test_a_mistake_names_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        plan(text)
    assert caught.value.summary.startswith(f"Dockerfile, line {line}: ")
    assert words in str(caught.value)


def test_a_target_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(BadInput, match="stages: build"):
        plan("FROM debian:12 AS build", target="biuld")
