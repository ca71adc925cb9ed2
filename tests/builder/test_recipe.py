"""What a build tells of how it made an image: every stage, every instruction, what was given to it."""

from __future__ import annotations

from paas.builder import recipe as recipes
from paas.builder.plan import FilesStep, ImageSettings, Plan, Stage
from paas.specs import BuiltStage
from tests.builder.conftest import Bench

DOCKERFILE = """\
ARG BASE=nothing:1
FROM ${BASE} AS build
ENV MODE=production
COPY package.json /app/
FROM build
COPY a /a
FROM debian:12
ARG VERSION
WORKDIR /
COPY --from=build /app /app
COPY --from=1 /a /a
COPY --from=python:3.11 /etc /other
CMD ["node"]
"""
FILES: dict[str, str | bytes] = {
    "Dockerfile": DOCKERFILE,
    "package.json": "{}",
    "a": "",
    "berth.toml": '[build.args]\nBASE = "debian:12"\nVERSION = "7"\nUNUSED = "x"\n',
}


def test_it_names_every_step_of_every_stage_and_what_each_stands_on(bench: Bench) -> None:
    told = bench.build(FILES).recipe
    digest = bench.store.resolve("debian:12")
    assert told is not None
    assert told.stages == (
        BuiltStage("build", "debian:12", digest, ("ENV MODE=production", "COPY package.json /app/")),
        BuiltStage("1", "build", "", ("COPY a /a",)),
        BuiltStage("python:3.11", "python:3.11", bench.store.resolve("python:3.11")),
        BuiltStage(
            "2",
            "debian:12",
            digest,
            (
                "ARG VERSION",
                "WORKDIR /",
                "COPY --from=build /app /app",
                "COPY --from=1 /a /a",
                "COPY --from=python:3.11 /etc /other",
                'CMD ["node"]',
            ),
        ),
    )
    assert told.args == (("BASE", "debian:12"), ("VERSION", "7"), ("UNUSED", "x"))
    assert told.target == ""


def test_it_names_the_target_and_only_the_stages_that_it_needs(bench: Bench) -> None:
    toml = '[build]\ntarget = "build"\n[build.args]\nBASE = "debian:12"\n[processes.web]\ncommand = "x"\n'
    told = bench.build({**FILES, "berth.toml": toml}).recipe
    assert told is not None
    assert (told.target, [stage.name for stage in told.stages]) == ("build", ["build"])


def test_a_long_instruction_is_whole_in_it_and_in_the_image_and_short_in_the_log(bench: Bench) -> None:
    line = f"COPY {'a ' * 100}/a/"
    report = bench.build({**FILES, "Dockerfile": f'FROM debian:12\n{line}\nCMD ["x"]\n'})
    assert report.recipe is not None and report.recipe.stages[0].steps[0] == line
    assert line in [step.created_by for step in bench.store.history(report.image.digest)]
    assert line not in bench.text and f"{line[:119]}…" in bench.text


def test_it_stays_small_and_loses_no_step() -> None:
    steps = tuple(FilesStep(f"COPY {number} {'x' * 1500}", ()) for number in range(500))
    (stage,) = recipes.recipe(Plan("dockerfile", (Stage("scratch", steps),), ImageSettings()), {}).stages
    assert len(stage.steps) == 500 and sum(map(len, stage.steps)) <= recipes.MOST
    assert stage.steps[499].startswith("COPY 499 ")


def test_a_secret_that_the_log_does_not_show_is_not_in_it() -> None:
    plan = Plan("x", (Stage("a", (FilesStep("RUN s3cret", ()),)),), ImageSettings(), args=(("A", "s3cret"),))
    told = recipes.masked(recipes.recipe(plan, {}), lambda text: text.replace("s3cret", "****"))
    assert (told.stages[0].steps, told.args) == (("RUN ****",), (("A", "****"),))
