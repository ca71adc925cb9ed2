"""A build's secrets: for the step that asks for them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from paas.errors import BadInput, StepFailed
from tenants.apps.models import App, ConfigVar
from tests.worker.workbench import Workbench

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
FROM = "FROM debian:12\n"
VALUE = "hush-hush-7431"


def give(app: App, **values: str) -> None:
    for key, value in values.items():
        ConfigVar.objects.create(app=app, key=key, value=value)


def test_a_secret_is_a_file_of_the_users_in_memory(bench: Workbench) -> None:
    give(bench.host.cast.app, TOKEN=VALUE, KEY="one\ntwo\n")
    report = bench.build(
        FROM + "RUN --mount=type=secret,id=TOKEN busybox wc -c </run/secrets/TOKEN >/one; "
        "stat -c %u:%g:%a /run/secrets/TOKEN >>/one; "
        "mount | grep -c '^tmpfs on /run/secrets/TOKEN .*(ro' >>/one\n"
        "RUN --mount=type=secret,id=KEY,target=/srv/key,uid=1000,gid=50,mode=0440 "
        "stat -c %u:%g:%a /srv/key >/two; busybox wc -l </srv/key >>/two; "
        "echo x >>/srv/key || echo read-only >>/two\n"
        "RUN --mount=type=secret,id=TOKEN,env=NPM_TOKEN "
        '[ -e /run/secrets/TOKEN ] || echo "${#NPM_TOKEN}" >/three\n'
        "RUN ls /run/secrets /srv/key || echo gone >/four"
    )
    assert bench.read(report, "one") == f"{len(VALUE)}\n0:0:400\n1\n"
    assert bench.read(report, "two") == "1000:50:440\n2\nread-only\n"
    assert bench.read(report, "three") == f"{len(VALUE)}\n"
    assert bench.read(report, "four") == "gone\n"


def test_a_secret_that_is_not_there(bench: Workbench) -> None:
    step = "RUN --mount=type=secret,id=NONE{} ls /run/secrets/NONE || echo none >/seen"
    assert bench.read(bench.build(FROM + step.format("")), "seen") == "none\n"
    assert "the app has no config var NONE: the secret is left out" in bench.text
    with pytest.raises(BadInput, match=r"Dockerfile, line 2: .*needs the secret NONE") as caught:
        bench.build(FROM + step.format(",required=true"))
    assert caught.value.hint == "set it: berth config set NONE=…"


def test_a_secret_is_in_no_layer_history_cache_or_log(bench: Workbench) -> None:
    """Not even when the step prints it, whole, in pieces or line by line, and fails."""
    give(bench.host.cast.app, TOKEN=VALUE, KEY=f"-----BEGIN\n{VALUE[::-1]}\n-----END\n")
    mounts = (
        "--mount=type=secret,id=TOKEN --mount=type=secret,id=KEY,target=/k --mount=type=secret,id=TOKEN,env=T"
    )
    bench.build(
        FROM
        + f"RUN {mounts} cat /run/secrets/TOKEN /k; echo $T $T; echo -n ${{T%%31}}; sleep 0.2; echo 31; env"
    )
    assert "**** ****" in bench.text
    assert VALUE not in bench.text
    assert VALUE[::-1] not in bench.text
    with pytest.raises(StepFailed) as caught:
        bench.build(FROM + f"RUN {mounts} echo token: $T; exit 1")
    assert VALUE not in repr((caught.value, caught.value.details))
    assert caught.value.details["log"] == ["token: ****"]
    assert holding(VALUE, settings.PATHS.store) == []
    assert holding(VALUE, settings.PATHS.run / "bundles") == []
    assert holding(VALUE, settings.PATHS.container_log("any").parent) == []


def test_a_secret_that_somebody_wrote_into_the_source_as_well_is_not_in_what_provenance_tells(
    bench: Workbench,
) -> None:
    give(bench.host.cast.app, TOKEN=VALUE)
    report = bench.build(
        FROM + f"ARG KEY\nRUN --mount=type=secret,id=TOKEN true {VALUE}",
        {"berth.toml": f'[build.args]\nKEY = "{VALUE}"\n'},
    )
    assert report.recipe is not None
    (stage,) = report.recipe.stages
    assert stage.steps[1] == "RUN --mount=type=secret,id=TOKEN true ****"
    assert report.recipe.args == (("KEY", "****"),)


def test_another_value_makes_nothing_anew(bench: Workbench) -> None:
    """The value is in no key: as with Docker, a step is done again when its text changes."""
    give(bench.host.cast.app, TOKEN="first")
    step = FROM + "RUN --mount=type=secret,id=TOKEN echo made >/made"
    bench.build(step)
    bench.host.cast.app.config_vars.update(value="second")
    assert bench.build(step).steps_cached == 1


def test_a_secret_is_the_apps_own(bench: Workbench) -> None:
    give(bench.host.cast.others_app, TOKEN=VALUE)
    with pytest.raises(BadInput, match="no config var of that name"):
        bench.build(FROM + "RUN --mount=type=secret,id=TOKEN,required true")


def holding(text: str, folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if text.encode() in path.read_bytes() or text in path.name]
