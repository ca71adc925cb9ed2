"""Dockerfiles that put files and settings, built by Berth and by Debian's buildah: the same comes out."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from paas.oci.config import ImageConfig
from tests.builder.buildah import (
    BASE,
    ENV,
    Buildah,
    Case,
    Made,
    base_files,
    differences,
    normal,
    own_buildah,
    tree,
)
from tests.builder.conftest import Bench

pytestmark = pytest.mark.kernel
FROM = f"FROM {BASE}\n"
BASH, SHELL = "localhost/bash:1", ("/bin/bash", "-c")


def archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, facts, content in (
            ("top", tarfile.REGTYPE, {"uid": 1000, "gid": 50, "mode": 0o640}, b"T"),
            ("sub", tarfile.DIRTYPE, {"uid": 7, "gid": 8, "mode": 0o711}, b""),
            ("sub/f", tarfile.REGTYPE, {"uid": 9, "mode": 0o4755}, b"F"),
            ("sub/link", tarfile.SYMTYPE, {"linkname": "/etc/passwd"}, b""),
            ("sub/hard", tarfile.LNKTYPE, {"linkname": "sub/f", "uid": 9, "mode": 0o4755}, b""),
            ("implied/g", tarfile.REGTYPE, {"mode": 0o600}, b"G"),
            ("able", tarfile.REGTYPE, {"mode": 0o755, "pax_headers": {CAPABLE: CAPABILITY}}, b"A"),
        ):
            _add(tar, name, kind, facts, content)
    return out.getvalue()


def folder_archive(*owners: int) -> bytes:
    """With the folder itself in it, once for each owner."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        _add(tar, "f", tarfile.REGTYPE, {}, b"F")
        for owner in owners:
            _add(tar, "./", tarfile.DIRTYPE, {"uid": owner, "gid": owner + 1, "mode": 0o2710}, b"")
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, kind: bytes, facts: Mapping[str, object], content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for key, value in facts.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


# cap_net_bind_service=ep
CAPABLE, CAPABILITY = "SCHILY.xattr.security.capability", "\1\0\0\2\0\4" + 14 * "\0"
TAR = archive()
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
SOME: dict[str, str | bytes] = {
    "a": "A",
    "b1": "1",
    "b2": "2",
    "d/x": "X",
    "d/.hidden": "h",
    "d/s/y": "Y",
    "d/s/t/z": "Z",
}


def empty(names: str) -> dict[str, str | bytes]:
    return dict.fromkeys(names.split(), "")


CASES = [
    # --- COPY: where things go
    Case(
        "a file",
        FROM + "COPY a /one\nCOPY a /new/\nCOPY a /new/deep/er/two\nCOPY a /srv\nCOPY a /srv/three",
        SOME,
    ),
    Case("several", FROM + "COPY a b1 b2 /new/\nCOPY a d /both/\nCOPY a d/x /srv/", SOME),
    Case("a folder", FROM + "COPY d /d\nCOPY d/ /e/\nCOPY d/s /srv\nCOPY . /all/", SOME, {"d/s": 0o750}),
    Case("the root", FROM + "COPY . .\nCOPY d ./\nCOPY d/x /", SOME),
    Case("wildcards", FROM + "COPY b* /w/\nCOPY b? /x/\nCOPY [ab]* /y/\nCOPY d/*/y /z/\nCOPY * /all/", SOME),
    Case("a wildcard of folders", FROM + "COPY d* /w/\nCOPY d/* /v/", SOME),
    Case("a wildcard beside a file", FROM + "COPY a none* /w/", SOME),
    Case(
        "names with spaces",
        FROM + 'COPY ["a b", "c d/", "/to e/"]\nCOPY ["a b", "/f g"]',
        {"a b": "1", "c d/e": "2"},
    ),
    Case(
        "relative to the working folder",
        FROM + "WORKDIR /w\nCOPY a .\nCOPY a ./b\nCOPY a c/\nCOPY d ../e",
        SOME,
    ),
    # --- COPY: what they become
    Case(
        "modes",
        FROM + "COPY a b1 /m/\nCOPY d /n/\nCOPY d/x /o",
        SOME,
        {"a": 0o600, "b1": 0o755, "d/x": 0o444, "d/s": 0o775, "d/s/t": 0o700},
    ),
    Case(
        "links",
        FROM + "COPY l /followed\nCOPY in /in\nCOPY dl /folder\nCOPY in/f /up/",
        {
            "f": "F",
            "l@": "f",
            "dl@": "d",
            "d/g": "G",
            "in/f@": "../f",
            "in/abs@": "/etc/passwd",
            "in/lost@": "no",
        },
    ),
    Case(
        "owners",
        FROM
        + "COPY --chown=app d /1\nCOPY --chown=app:staff d /2\nCOPY --chown=5 a /3/4\nCOPY --chown=6:7 d /srv/"
        "\nCOPY --chown=0:staff a /6\nCOPY --chown=app:9 a /7",
        SOME,
    ),
    Case(
        "chmod",
        FROM + "COPY --chmod=640 a /1\nCOPY --chmod=0711 d /2\nCOPY --chown=app --chmod=4755 a /3/",
        SOME,
    ),
    Case(
        "into folders that are there",
        FROM + "COPY --chown=5:6 one /x\nCOPY two /x\nCOPY two /x/s",
        {"one/s/f": "old", "one/s/kept": "", "one/t/k": "", "two/s/f": "new", "two/s/g": "", "two/l@": "s"},
        {"one/s": 0o700, "two/s": 0o751},
    ),
    Case(
        "through links of the image",
        f"FROM {BASE} AS a\nCOPY tree /\n"
        "FROM a\nCOPY f /rel/1\nCOPY f /abs/2\nCOPY d /rel\nCOPY f /srv/lf\nCOPY f /chain/3",
        {
            "tree/rel@": "srv",
            "tree/abs@": "/srv",
            "tree/chain@": "abs",
            "tree/srv/lf@": "old",
            "tree/srv/old": "old",
            "f": "new",
            "d/q": "q",
        },
    ),
    Case("variables", FROM + "ENV N=a W=/w\nCOPY ${N} $W/${N}.x\nCOPY ${M:-b1} $W/", SOME),
    # --- ADD
    *(
        Case(
            f"add {name}", FROM + "ADD x /in/to\nADD --chown=app:staff x /own/\nCOPY x /kept", {"x": pack(TAR)}
        )
        for name, pack in PACKERS.items()
    ),
    Case(
        "add what is none",
        FROM + "ADD a.tar b.gz /x/\nADD d /y",
        {"a.tar": "text", "b.gz": b"\x1f\x8b", "d/t.tar": TAR},
    ),
    Case(
        "add over what is there",
        FROM + "COPY old /x\nADD x.tar /x",
        {"old/sub/f": "old", "old/top": "", "x.tar": TAR},
    ),
    Case(
        "add an archive that says how its folder is",
        FROM + "ADD x /new/er\nADD --chown=app x /own\nCOPY --chown=app d /old\nADD x /old\nADD y /old/s\n"
        "COPY l /l\nADD x /l/to",
        {"x": folder_archive(12), "y": folder_archive(12, 14), "d/s/k": "", "l/to@": "real", "l/real/k": ""},
    ),
    # --- stages
    Case(
        "hard links and capabilities from a stage",
        FROM.replace("\n", " AS a\n") + "ADD x /o\n" + FROM + "COPY --from=a /o /w\nCOPY --from=a /o/sub /s\n"
        "COPY --from=a --chown=app --chmod=710 /o /x\nCOPY --from=a /o/sub/f /o/sub/hard /o/able /y/\n"
        "COPY --from=a /o/sub/* /z/\nCOPY --from=a /o /w",
        {"x": TAR},
    ),
    Case(
        "from stages and images",
        f"FROM {BASE} AS one\nCOPY --chown=7:8 --chmod=2750 d /d\nCOPY --chown=9 a /f\n"
        f"FROM one AS two\nCOPY b1 /d/two\nFROM {BASE}\nCOPY --from=one /d /d\nCOPY --from=two /d/two /f /g/\n"
        f"COPY --from=0 --chown=app /d /e\nCOPY --from={BASE} /etc/passwd /pw\nCOPY --from=one /d/s/. /h",
        SOME,
    ),
    Case(
        "on a stage",
        FROM.replace("\n", " AS a\n") + "ENV A=1\nWORKDIR /w\nCOPY a .\nFROM a\nENV B=$A\nCOPY b1 .",
        SOME,
    ),
    Case("scratch", f"FROM {BASE} AS a\nCOPY d /d\nFROM scratch\nCOPY --from=a /d /\nENV A=1", SOME),
    Case(
        "target",
        f"FROM {BASE} AS a\nCOPY a /\nFROM {BASE} AS b\nCOPY b1 /\nFROM b\nCOPY b2 /",
        SOME,
        target="b",
    ),
    # --- .dockerignore
    Case(
        "ignored",
        FROM + "COPY . /x/",
        {
            ".dockerignore": "# comment\n*.md\n!README.md\n/abs\ndir/*\n!dir/keep\n**/tmp\n  spaces  \n"
            "sub/**/z\n!neg/a\nneg\n",
            **empty("a.md README.md q/b.md abs q/abs dir/a dir/keep dir/k2/x q/tmp/x tmp spaces sub/z"),
            **empty("sub/a/z sub/a/b/z sub/a/b/y neg/a neg/b"),
        },
    ),
    Case(
        "all but",
        FROM + "COPY . /x/\nCOPY src /y/\nCOPY src/t /z/",
        {".dockerignore": "*\n!src\nsrc/t\n!src/t/k*\n", **empty("a src/b src/t/a src/t/k1 o/src/x")},
    ),
    Case(
        "ignored by wildcards",
        FROM + "COPY . /x/\nCOPY *.txt /y/",
        {
            ".dockerignore": "?.txt\n[x-z]*\n*/*/deep\n!**/kept.txt\n",
            **empty("a.txt ab.txt kept.txt x1 z p/q/deep/f p/deep/f p/x1 p/a.txt"),
        },
    ),
    # --- settings
    Case(
        "env",
        FROM + "ENV A=1 B='two words' C=\"three $A\" D=four\\ words\nENV OLD any words  at all\nENV A=2 E=$A\n"
        'ENV F=${A}x G=$A.$B H=\\$A I=\'$A\' J="a \\"q\\" \\n" K=\\n L=$NONE',
    ),
    Case(
        "substitution",
        FROM + "ENV A=a E=\nENV B=${A:-x} C=${N:-x} D=${E:-x} F=${A:+y} G=${N:+y} H=${E:+y}"
        '\nENV I=${N:-${A}} J=${N:-"q r"}',
    ),
    Case(
        "arg",
        "ARG TAG=1\nARG REPO=localhost/base\nARG ONLY=global\nFROM ${REPO}:${TAG}\nARG ONLY\nARG X=1 GIVEN\n"
        "ARG Y=$X\nENV A=$ONLY B=$X C=$GIVEN D=$Y E=$TAG F=$TARGETARCH\nENV X=env\nARG X=late\nENV G=$X",
        args={"GIVEN": "given", "ONLY": "own"},
    ),
    Case(
        "platform",
        f"FROM {BASE}\nARG TARGETARCH\nARG TARGETOS\nARG BUILDPLATFORM\n"
        "ENV A=$TARGETOS/$TARGETARCH=$BUILDPLATFORM",
    ),
    Case(
        "labels",
        FROM + 'LABEL a=b "c d"="e f" g=\'h i\'\nLABEL old style here\n'
        "ENV V=v\nLABEL a=new v=$V\nMAINTAINER Some Body",
    ),
    Case("ports", FROM + "EXPOSE 80\nEXPOSE 53/udp 443/tcp\nENV P=8080\nEXPOSE $P ${Q:-9}"),
    Case("a shell", FROM + 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]'),
    Case("a shell of a stage", f'FROM {BASE} AS a\nSHELL ["/bin/bash", "-c"]\nFROM a\nENV A=1'),
    Case("a shell of the image", f"FROM {BASH}\nENV A=1"),
    Case("exec forms", FROM + 'ENTRYPOINT ["/a", "b $X"]\nCMD ["c", "d e"]'),
    Case("shell forms", FROM + "ENTRYPOINT exec a $X\nCMD b   c \\\n  d"),
    Case(
        "an entry point drops what was inherited", f'FROM {BASE} AS a\nCMD ["old"]\nFROM a\nENTRYPOINT ["new"]'
    ),
    Case("an entry point keeps what is its own", FROM + 'CMD ["kept"]\nENTRYPOINT ["new"]'),
    Case("nothing to run", f'FROM {BASE} AS a\nENTRYPOINT ["x"]\nCMD ["y"]\nFROM a\nENTRYPOINT []\nCMD []'),
    Case(
        "the last counts",
        FROM + "CMD a\nUSER app\nCMD b\nUSER 5:6\nSTOPSIGNAL 9\nSTOPSIGNAL SIGINT\nWORKDIR /a\nWORKDIR /b",
    ),
    Case("a signal by number", FROM + "STOPSIGNAL 10"),
    Case("volumes", FROM + 'COPY d /d\nVOLUME /d /d/s\nVOLUME ["/srv"]', SOME),
    Case(
        "health",
        FROM
        + "HEALTHCHECK --interval=5s --timeout=1m30s --retries=4 --start-period=500ms CMD wget -q x || exit 1",
    ),
    Case("health by arguments", FROM + 'HEALTHCHECK CMD ["a", "b c"]'),
    Case("no health", f"FROM {BASE} AS a\nHEALTHCHECK CMD true\nFROM a\nHEALTHCHECK NONE"),
    Case(
        "working folders",
        FROM + "WORKDIR /a\nWORKDIR b\nWORKDIR ../c/./d\nENV W=/e\nWORKDIR $W/f\nWORKDIR /srv",
    ),
    Case(
        "a user's working folder",
        FROM + "USER app\nWORKDIR /w/x\nCOPY a .\nUSER 5:6\nWORKDIR y\nUSER app:staff\nWORKDIR z",
        SOME,
    ),
    # --- the file itself
    Case(
        "how it is written",
        f"# a comment\n\n  from {BASE} as stage\n# CMD none\nenv A=1 \\\n# between\n\n    B=2\\\n C=3\n"
        "copy \\\n  a \\\n  /x/\nFrom stage\n",
        SOME,
    ),
    Case("another escape", "# escape=`\n" + FROM + "ENV A=1 `\n  B=2\nCOPY a `\n /x", SOME),
]


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    with own_buildah() as made:
        made.base(BASE, base_files(made.folder / "root"))
        made.on(BASE, f"SHELL {json.dumps(SHELL)}", name=BASH)
        yield made


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_same_comes_out(case: Case, buildah: Buildah, bench: Bench, tmp_path: Path) -> None:
    source = case.source(tmp_path / "source")
    theirs = buildah.build(case, source)
    ours = built(bench, case, source, buildah.folder / "root")
    assert differences(ours, theirs) == []


def built(bench: Bench, case: Case, source: Path, root: Path) -> Made:
    """By Berth, from the same folder."""
    info = bench.store.commit_changeset(root)
    config = ImageConfig(diff_ids=(info.diff_id,), env=ENV)
    bench.store.tag(BASE, bench.store.put_image(config).digest)
    bench.store.tag(BASH, bench.store.put_image(replace(config, shell=SHELL)).digest)
    image = bench.dockerfile(source, target=case.target, args=case.args)
    config = bench.store.config(image.digest)
    return Made(bench.merged(image, tree), normal(json.loads(config.to_json())))
