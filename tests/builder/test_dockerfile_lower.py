from __future__ import annotations

import pytest

from paas.builder.dockerfile import lower, parse
from paas.builder.plan import Copy, FilesStep, Folder, ImageSettings, Plan, RunStep, Write
from paas.errors import BadInput, NotFound
from paas.specs import ImageSpec

BASE = ImageSpec(
    digest="sha256:" + "0" * 64,
    layers=("sha256:" + "1" * 64,),
    env=(("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8")),
    cmd=("bash",),
)


def resolve(name: str) -> ImageSpec:
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
        exposed_port=8080,
        stop_signal="SIGINT",
        labels=(("k", "1"),),
    )
    assert made.command == ("/bin/a", "b", "c")
    assert [step.title for step in made.stages[0].steps] == ["WORKDIR /srv", "WORKDIR app"]


def test_run_takes_what_was_set_before_it() -> None:
    (folder, run) = steps('ARG V=1\nENV V2=$V\nWORKDIR /x\nUSER app\nSHELL ["/bin/bash", "-ec"]\nRUN echo $V')
    assert folder == FilesStep("WORKDIR /x", (Folder("/x"),), "Dockerfile", 4)
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
        ("RUN <<E\na\nb\nE", ("/bin/sh", "-c", "a\nb\n")),
        ("RUN python3 <<E\nprint(1)\nE", ("/bin/sh", "-c", "python3 <<E\nprint(1)\nE\n")),
    ],
)
def test_forms_of_run(text: str, args: tuple[str, ...]) -> None:
    (run,) = steps(text)
    assert isinstance(run, RunStep)
    assert run.args == args


def test_a_cache_mount_is_named_by_its_target_or_id() -> None:
    text = "RUN --mount=type=cache,target=/root/.cache --mount=type=cache,id=n,target=/n,sharing=locked a"
    (run,) = steps(text)
    assert isinstance(run, RunStep)
    assert run.caches == (("/root/.cache", "root-.cache"), ("/n", "n"))


@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("COPY a b/ /x/", Copy(("a", "b"), "/x/")),
        ("COPY . .", Copy((".",), "/w/")),
        ("COPY a b", Copy(("a",), "/w/b")),
        ('COPY ["a b", "/c"]', Copy(("a b",), "/c")),
        ("COPY --chown=app:app --chmod=0750 /a/../b /c", Copy(("b",), "/c", owner="app:app", mode=0o750)),
        ("COPY $N /c", Copy(("name",), "/c")),
        ("ADD a ../../../c/", Copy(("a",), "/c/")),
        ("COPY <<E /c/\n$N\nE", Write("/c/E", "name\n")),
        ("COPY --chmod=755 <<'E' c\n$N\nE", Write("/w/c", "$N\n", mode=0o755)),
    ],
)
def test_forms_of_copy(text: str, operation: Copy | Write) -> None:
    made = steps(f"ENV N=name\nWORKDIR /w\n{text}")[-1]
    assert isinstance(made, FilesStep)
    assert made.operations == (operation,)


def test_only_stages_that_the_target_needs_are_built() -> None:
    text = (
        "FROM nothing:1 AS unused\nRUN false\nFROM debian:12 AS build\nRUN make\nFROM build AS test\nRUN test\n"
        "FROM debian:12\nCOPY --from=build /out /srv\nCOPY --from=2 /r /r\n"
    )
    made = plan(text)
    assert [(stage.base, stage.name) for stage in made.stages] == [
        ("debian:12", "build"),
        (0, "test"),
        ("debian:12", ""),
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


def test_healthcheck_is_noted() -> None:
    (note,) = plan("FROM debian:12\nHEALTHCHECK --interval=5s CMD true").notes
    assert note.startswith("Dockerfile, line 2: HEALTHCHECK is not used")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("RUN a", 1, "no FROM"),
        ("FROM debian:99", 1, "this machine has: debian:12"),
        ("FROM --platform=linux/arm64 debian:12", 1, "--platform is refused"),
        ("FROM debian:12 debian", 1, "FROM <image> [AS <name>]"),
        ("FROM $NONE", 1, "is empty"),
        ("FROM debian:12 AS a\nFROM debian:12 AS A", 2, "already"),
        ("FROM debian:12\nONBUILD RUN a", 2, "ONBUILD is refused"),
        ("FROM debian:12\nVOLUME /data", 2, "VOLUME is refused"),
        ("FROM debian:12\nMAINTAINER me", 2, "LABEL maintainer"),
        ("FROM debian:12\nCOPPY a b", 2, "did you mean COPY?"),
        ("FROM debian:12\nRUN --network=host a", 2, "--network=host is refused"),
        ("FROM debian:12\nRUN --security=insecure a", 2, "--security=insecure is refused"),
        ("FROM debian:12\nRUN --mount=type=bind,source=/,target=/h a", 2, "type=bind is refused"),
        ("FROM debian:12\nRUN --mount=target=/h a", 2, "type=bind is refused"),
        ("FROM debian:12\nRUN --mount=type=secret,id=x a", 2, "type=secret is refused"),
        ("FROM debian:12\nRUN --mount=type=ssh a", 2, "type=ssh is refused"),
        ("FROM debian:12\nRUN --mount=type=cache,target=/c,from=x a", 2, "'from' is not offered"),
        ("FROM debian:12\nRUN --mount=type=cache,target=../c a", 2, "absolute"),
        ("FROM debian:12\nRUN --mount=type=cache,target=/c,id=../c a", 2, "not a name"),
        ("FROM debian:12\nRUN <<E\n#!/usr/bin/python3\nE", 2, "`#!`"),
        ("FROM debian:12\nADD http://127.0.0.1/x /x", 2, "refused"),
        ("FROM debian:12\nADD git@example.org:a/b.git /x", 2, "refused"),
        ("FROM debian:12\nADD a.tar.gz /x", 2, "does not unpack"),
        ("FROM debian:12\nCOPY ../x /x", 2, "leads out"),
        ("FROM debian:12\nCOPY --from=0 a /x", 2, "no base image"),
        ("FROM debian@sha256:1", 1, "is not an image's name"),
        ("FROM debian:12\nCOPY --from=debian@sha256:1 a /x", 2, "is not an image's name"),
        ("FROM debian:12 AS b\nFROM debian:12\nCOPY --from=b ../../etc /x", 3, "leads out"),
        ("FROM debian:12\nCOPY a b c", 2, "c/, with a slash"),
        ("FROM debian:12\nCOPY a", 2, "names no destination"),
        ("FROM debian:12\nCOPY --parents a b", 2, "--from, --chown, --chmod, --link"),
        ("FROM debian:12\nCOPY --chmod=u+x a b", 2, "no mode"),
        ("FROM debian:12\nCOPY --chown=a:b:c a b", 2, "user[:group]"),
        ("FROM debian:12\nENV", 2, "names nothing"),
        ("FROM debian:12\nENV A", 2, "name=value"),
        ("FROM debian:12\nENV A='b", 2, "without its end"),
        ("FROM debian:12\nARG a-b", 2, "not a name"),
        ("FROM debian:12\nEXPOSE 70000", 2, "not a port"),
        ("FROM debian:12\nUSER a b", 2, "USER app"),
        ("FROM debian:12\nSTOPSIGNAL x!", 2, "no such signal"),
        ("FROM debian:12\nSTOPSIGNAL SIGFOO", 2, "no such signal"),
        ("FROM debian:12\nSHELL bash", 2, 'SHELL ["/bin/bash", "-c"]'),
        ("ENV a=b\nFROM debian:12", 1, "comes before FROM"),
        ("FROM debian:12\n" + "ENV A=$A$A$A${A}xxxx\n" * 20, 9, "longer than"),
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
