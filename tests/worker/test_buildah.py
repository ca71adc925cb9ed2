"""Dockerfiles that run commands, built by Berth and by Debian's buildah: the same comes out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from paas.worker import engine
from paas.worker.translate import tenant_spec
from tests.builder.buildah import TOOLS, Buildah, Case, Made, differences, normal, own_buildah, tree
from tests.runtime.conftest import BASE, _make_base_layer
from tests.worker.workbench import Workbench

pytestmark = [pytest.mark.kernel, pytest.mark.django_db(transaction=True)]
FROM = f"FROM {TOOLS}\n"
STRICT, SHELL = "localhost/strict:1", ("/bin/sh", "-ec")

CASES = [
    Case(
        "forms",
        FROM + "ENV A='x y'\nRUN echo \"$A\" > /srv/1\n"
        'RUN ["/bin/sh", "-c", "echo $A > /srv/2"]\nRUN ["touch", "/srv/$A"]\n'
        "RUN echo one \\\n  # between\n  two \\\n\n  three > /srv/3 && \\\n  echo $0 >> /srv/3",
    ),
    Case(
        "variables",
        "ARG G=global\n" + FROM + "ARG G\nARG A=1 B\nENV C=$A-$B\nRUN echo $G $A $B $C > /srv/1\nENV A=env\n"
        "RUN echo $A > /srv/2\nARG A=late\nRUN echo $A > /srv/3\nARG TARGETARCH\nRUN echo $TARGETARCH > /srv/4",
        args={"B": "given"},
    ),
    Case(
        "users",
        FROM + "RUN mkdir -m 777 /o\nUSER app\nWORKDIR /w/x\n"
        "RUN id -u > /o/1; id -g >> /o/1; echo $HOME >> /o/1; touch mine\n"
        "USER 5:6\nRUN id -u > /o/2; id -g >> /o/2; pwd >> /o/2\nUSER root\nRUN id -u > /o/3",
    ),
    Case(
        "changes",
        FROM + "COPY d /d\nRUN rm /d/gone && rm -r /d/s && mkdir /d/s && echo new > /d/s/n && chmod 2711 /d && "
        "chown 7:8 /d/kept && ln -s kept /d/link && ln /d/kept /d/hard && chmod 4755 /d/kept\n"
        "RUN rm -r /d/s; touch /d/s",
        {"d/gone": "", "d/kept": "k", "d/s/old": ""},
    ),
    Case(
        "shell",
        FROM + 'SHELL ["/bin/sh", "-ec"]\nRUN echo 1 > /srv/1; false || echo $- > /srv/2; echo 3 > /srv/3',
    ),
    Case(
        "shell of the image",
        f"FROM {STRICT}\n" + "RUN echo 1 > /srv/1; false || echo $- > /srv/2; echo 3 > /srv/3",
    ),
    Case(
        "stages",
        f"FROM {TOOLS} AS build\nWORKDIR /out\nRUN echo made > f && chown 9:9 f && chmod 600 f\n"
        f"FROM {TOOLS} AS more\nCOPY --from=build /out/f /g\nRUN cat /g > /h\n"
        "FROM scratch\nCOPY --from=more /g /h /",
    ),
    Case(
        "links and pipes",
        FROM.replace("\n", " AS a\n")
        + "RUN mkdir -p /o/s; echo a > /o/a; ln /o/a /o/s/b; ln /o/a /out; mkfifo -m 640 /o/p; chown 5:6 /o/p\n"
        f"{FROM}COPY --from=a /o /w\nCOPY --from=a --chown=7:8 --chmod=711 /o /x\nCOPY --from=a /o/p /y/",
    ),
    Case(
        "mounts",
        FROM.replace("\n", " AS build\n")
        + "RUN mkdir /out && echo stage > /out/f\n"
        + FROM
        + "RUN --mount=type=bind,source=f,target=/file cat /file > /srv/1\n"
        "RUN --mount=type=bind,source=d,target=/in ls /in > /srv/2\n"
        "RUN --mount=type=bind,from=build,source=/out,target=/in cat /in/f > /srv/3\n"
        "RUN --mount=type=tmpfs,target=/in touch /in/x && ls /in > /srv/4\n"
        "RUN --mount=type=cache,target=/c echo c > /c/c && cat /c/c > /srv/5",
        {"f": "context\n", "d/a": "", "d/b": ""},
    ),
]


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    with own_buildah() as made:
        _make_base_layer(made.folder / "store")
        root = made.folder / "store/layers" / BASE.removeprefix("sha256:")
        root.rename(made.folder / "root")
        for name in ("run", "root"):
            (made.folder / "root" / name).mkdir()
        made.base(TOOLS, made.folder / "root")
        made.on(TOOLS, f"SHELL {json.dumps(SHELL)}", name=STRICT)
        yield made


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_same_comes_out(case: Case, buildah: Buildah, bench: Workbench) -> None:
    bench.tag(TOOLS, buildah.folder / "root")
    bench.tag(STRICT, buildah.folder / "root", shell=SHELL)
    source = case.source(bench.folder / "source")
    if case.args:
        lines = (f'{key} = "{value}"' for key, value in case.args.items())
        (source / "berth.toml").write_text("\n".join(["[build.args]", *lines]))
    report = bench.build(case.dockerfile, source)
    config = engine.store().config(report.image.digest)
    with engine.runtime().plain_rootfs(tenant_spec(bench.host.cast.tenant), report.image.layers) as rootfs:
        ours = Made(tree(rootfs.root), normal(json.loads(config.to_json())))
    assert differences(ours, buildah.build(case, source)) == []
