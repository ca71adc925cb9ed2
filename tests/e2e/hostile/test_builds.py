"""Builds that mean harm, uploaded like any other."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest

from paas.oci.digest import of_bytes
from paas.oci.index import this_architecture
from tests.e2e.hostile.conftest import Attack
from tests.e2e.hostile.tenant import APP, SLUG, Hostile, archive, entry, processes
from tests.e2e.platform import Platform
from tests.images.foreign import gnu_tar

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]
FORGE, SITE, VAULT = "forge", "site", "vault"
MIB = 1024 * 1024
SERVE = 'CMD ["python3", "-m", "http.server", "8000"]\n'


def dockerfile(*lines: str, base: str = "FROM debian:12", **files: str | bytes) -> bytes:
    return archive({"Dockerfile": "\n".join([base, *lines, SERVE]), **files})


@pytest.fixture(scope="module", autouse=True)
def apps(mallory: Hostile) -> Iterator[None]:
    mallory.create(FORGE)
    mallory.create(SITE)
    mallory.create(VAULT)
    yield
    known = {row["id"] for app in (APP, FORGE, SITE, VAULT) for row in mallory.containers(app)}
    assert set(processes(mallory)) <= known  # nothing that a build began runs on


HOSTILE = {
    "out of the folder": ([entry("../evil", tarfile.REGTYPE)], "'../evil'"),
    "absolute name": ([entry("/tmp/evil", tarfile.REGTYPE)], "'/tmp/evil'"),
    "link, then below it": (
        [entry("l", tarfile.SYMTYPE, "/tmp"), entry("l/evil", tarfile.REGTYPE)],
        "'l/evil'",
    ),
    "hard link outside": ([entry("h", tarfile.LNKTYPE, "/etc/shadow")], "'h' is a hard link"),
    "device": ([entry("sda", tarfile.BLKTYPE)], "'sda' is a device"),
    "named pipe": ([entry("pipe", tarfile.FIFOTYPE)], "'pipe' is a device or a named pipe"),
}


def test_archives(mallory: Hostile, attack: Attack) -> None:
    with attack("archives that reach out"):
        found = {name: mallory.built(FORGE, archive({}, *entries)) for name, (entries, _) in HOSTILE.items()}
    for name, (_, told) in HOSTILE.items():
        assert found[name].status == "failed" and told in found[name].error, found[name]


def member(content: bytes) -> bytes:
    return gzip.compress(content, 9)


def header(name: str, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf()


def test_bombs(mallory: Hostile, attack: Attack) -> None:
    """Files of 64 GB and a million files, all in a few megabytes: a stream of gzip or zstd may have many
    parts, and a zip archive's list may name one file's bytes again and again."""
    zeros, many = member(bytes(64 * MIB)), member(b"".join(header(f"{n}") for n in range(1000)))
    with attack("gzip bomb"):
        bomb = mallory.built(FORGE, member(header("bomb", 1000 * 64 * MIB)) + zeros * 60)
    with attack("a million files"):
        files = mallory.built(FORGE, many * 1000)
    with attack("zip bomb"):
        zipped = mallory.built(FORGE, zip_of_one_file(1000, bytes(64 * MIB)), "application/zip")
    with attack("zstd bomb"):
        frames = zstd(header("bomb", 1000 * 64 * MIB)) + zstd(b"x" * 64 * MIB) * 1000
        image = mallory.built(FORGE, dockerfile("ADD bomb /", bomb=frames))
    assert "unpacks to more than 134,217,728 bytes, at 'bomb'" in bomb.error
    assert "holds more than 5,000 files and folders" in files.error
    assert "unpacks to more than 134,217,728 bytes, at '2'" in zipped.error
    assert "your disk is full" in image.error


def zip_of_one_file(names: int, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0", content)
        for number in range(1, names):
            again = copy(archive.filelist[0])
            again.filename = str(number)
            archive.filelist.append(again)
    return out.getvalue()


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=content, capture_output=True, check=True).stdout


def test_what_a_run_may_not_be_given(mallory: Hostile, attack: Attack) -> None:
    """Refused by name, before anything is run."""
    wrong = {
        "#syntax=evil.example/frontend\nFROM debian:12": "evil.example/frontend",
        "FROM debian:12\nRUN --security=insecure true": "--security=insecure is refused",
        "FROM debian:12\nRUN --network=host true": "--network=host is refused",
        "FROM debian:12\nRUN --mount=type=bind,source=/etc,target=/x,from=host true": "host",
        "FROM debian:12\nRUN --mount=type=ssh true": "ssh",
    }
    with attack("flags of RUN, #syntax"):
        found = {text: mallory.built(FORGE, dockerfile(base=text)) for text in wrong}
    for text, told in wrong.items():
        assert found[text].status == "failed" and told in found[text].error, found[text]


def test_files_of_the_host(mallory: Hostile, attack: Attack, tmp_path: Path) -> None:
    """A link stays a link, and no name of a file leads out of the place that it is in."""
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    linked = archive(
        {"Dockerfile": f"FROM debian:12\nCOPY s /s\nRUN readlink /s; cat /s; true\n{SERVE}"},
        entry("s", tarfile.SYMTYPE, str(secret)),
    )
    upward = dockerfile(f"FROM debian:12\nCOPY --from=0 /../../../../..{secret} /s", base="FROM debian:12")
    mounted = dockerfile(f"RUN --mount=type=bind,source=/../../..{secret},target=/s cat /s")
    with attack("files of the host"):
        link, *others = [mallory.built(FORGE, source) for source in (linked, upward, mounted)]
    assert link.status == "succeeded" and str(secret) in link.log
    assert {built.status for built in others} == {"failed"}
    assert all("of the host" not in built.log for built in (link, *others))


def test_a_secret(mallory: Hostile, attack: Attack, platform: Platform) -> None:
    """Whoever may not see a config var's value does not learn it from a build that prints it in every way."""
    value, began = "hush-hush-7431", time.time()
    answer = mallory.api(f"/apps/{SLUG}/{VAULT}/config", "PATCH", {"changes": {"TOKEN": value}})
    assert answer.status == 200
    mounts = "--mount=type=secret,id=TOKEN --mount=type=secret,id=TOKEN,env=T"
    shown = (
        "cat /run/secrets/TOKEN; echo $T $T; echo -n ${T%31}; sleep 0.1; echo 31; env; ls /run/secrets >/there"
    )
    with attack("printing a build secret"):
        built = mallory.built(VAULT, dockerfile(f"RUN {mounts} {shown}"))
        failed = mallory.built(VAULT, dockerfile(f"RUN {mounts} echo token: $T; exit 1"))
    assert built.status == "succeeded" and "**** ****" in built.log and "token: ****" in failed.log
    assert value not in json.dumps([built.row, built.log, failed.row, failed.log])
    assert holding(value, Path(platform.environment["BERTH_STATE"]), began) == []


def holding(text: str, folder: Path, since: float) -> list[str]:
    """The files with it, of those that were made or changed since then."""
    files = (Path(top, name) for top, _, names in os.walk(folder) for name in names)
    changed = [str(file) for file in files if not file.is_symlink() and file.stat().st_ctime >= since]
    found = subprocess.run(["grep", "-lF", text, "--", *changed], capture_output=True, text=True, check=False)
    assert changed and found.returncode < 2, found.stderr
    return found.stdout.splitlines()


def test_images_of_others(mallory: Hostile, attack: Attack, platform: Platform) -> None:
    """Their names are not known here, and knowing a digest is no key."""
    digest = platform.releases("hello")[0]["image"]
    names = ("hello", "demo/hello", "hello-demo", digest, f"hello@{digest}", digest.removeprefix("sha256:"))
    with attack("images of others"):
        found = [mallory.built(FORGE, dockerfile(base=f"FROM {name}")) for name in names]
        found += [mallory.built(FORGE, dockerfile(f"COPY --from={name} /app /x")) for name in names]
    assert {built.status for built in found} == {"failed"}, found


def test_too_many_layers(mallory: Hostile, attack: Attack) -> None:
    """By ten thousand instructions, of which none is run, and by an image that is uploaded."""
    with attack("10,000 layers"):
        built = mallory.built(FORGE, dockerfile(*["RUN true"] * 10_000))
        image = mallory.built(FORGE, image_of(10_000))
    assert built.status == "failed" and "line 501: more than 500 instructions" in built.error
    assert "Step" not in built.log
    assert image.status == "failed" and "it has 10000 layers, and 60 can be mounted" in image.error


def image_of(layers: int) -> bytes:
    """As `docker save` writes it, a hundred layers again and again."""
    blobs = {f"{n}.tar": gnu_tar({f"file {n}": b""}) for n in range(100)}
    each = layers // len(blobs)
    ids = {"type": "layers", "diff_ids": [of_bytes(blob) for blob in blobs.values()] * each}
    config = {"os": "linux", "architecture": this_architecture(), "rootfs": ids}
    listed = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": list(blobs) * each}]
    return archive({**blobs, "config.json": json.dumps(config), "manifest.json": json.dumps(listed)})


def test_too_large_layers(mallory: Hostile, attack: Attack) -> None:
    with attack("a layer of 100 GB"):
        sparse = mallory.built(FORGE, dockerfile("RUN truncate -s 100G /huge"))
        full = mallory.built(FORGE, dockerfile("RUN dd if=/dev/zero of=/huge bs=1M"))
    assert "unpacks to more than 8,589,934,592 bytes, at 'huge'" in sparse.error
    assert "exited with 1" in full.error and "No space left on device" in full.log


def test_bombs_in_a_run(mallory: Hostile, attack: Attack) -> None:
    with attack("memory bomb in RUN"):
        memory = mallory.built(FORGE, dockerfile("RUN python3 -c \"'x' * (1 << 40)\"; tail /dev/zero"))
    with attack("fork bomb in RUN"):
        forks = mallory.built(FORGE, dockerfile("RUN for i in $(seq 2000); do sleep 5 & done"))
    assert memory.status == "failed" and "memory" in memory.error
    assert forks.status == "failed" and "Cannot fork" in forks.log


def test_a_run_without_end(mallory: Hostile, attack: Attack, seconds: float) -> None:
    """It can be taken back at any time, and nothing of it goes on."""
    answer = mallory.upload(FORGE, dockerfile("RUN for i in 1 2 3 4; do while :; do :; done & done; wait"))
    build = answer.json["id"]
    with attack("RUN without end"):
        time.sleep(seconds)
        assert mallory.build(FORGE, build)["status"] == "running"
        assert mallory.api(f"/apps/{SLUG}/{FORGE}/builds/{build}/cancel", "POST", {}).status == 202
        assert mallory.build_ended(FORGE, build).status == "cancelled"


def test_a_run_past_the_time_limit(mallory: Hostile, attack: Attack, platform: Platform) -> None:
    """Its worker stands still meanwhile, and another one does the same with a limit of two seconds."""
    code = "from django.conf import settings; settings.BUILD_SECONDS = 2; from paas.worker import builds; "
    worker, mounts = platform.pid("worker-build"), f"--mount={platform.environment['BERTH_RUN']}/ns/mount"
    os.kill(worker, signal.SIGSTOP)
    try:
        build = mallory.upload(FORGE, dockerfile("RUN while :; do :; done")).json["id"]
        with attack("RUN past the time limit"):
            platform.manage("shell", "-v", "0", "-c", f"{code}builds.run_next()", within=["nsenter", mounts])
    finally:
        os.kill(worker, signal.SIGCONT)
    late = mallory.build_ended(FORGE, build)
    assert (late.status, late.error) == ("failed", "the build took longer than 2 seconds and was ended")


def test_a_daemon_of_a_run(mallory: Hostile, attack: Attack) -> None:
    with attack("daemon left by RUN"):
        built = mallory.built(FORGE, dockerfile("RUN setsid sh -c 'trap \"\" TERM HUP; sleep 600' & sleep 0.1"))
    assert built.status == "succeeded"
    mallory.live(FORGE)
    assert {row["process"] for row in mallory.containers(FORGE)} == {"web"}


def test_procfiles(mallory: Hostile, attack: Attack) -> None:
    site = {"requirements.txt": "", "app.py": "", "berth.toml": "[health]\ntimeout = 10\n"}
    serve = "web: python -m http.server $PORT --directory $(id -u >/tmp/ran; echo /tmp)\n"
    with attack("Procfiles"):
        wrong = [mallory.built(SITE, archive({**site, "Procfile": text}))
                 for text in ("web: a\0b\n", "web: " + "a" * MIB)]  # fmt: skip
        right = mallory.built(SITE, archive({**site, "Procfile": serve}))
        live = mallory.live(SITE)
    assert [built.error for built in wrong] == [
        "Procfile, line 1: holds the control character '\\x00'",
        "Procfile is larger than 65,536 bytes",
    ]
    assert (right.status, live["status"]) == ("succeeded", "live")
    body = mallory.platform.request(f"{SITE}-{SLUG}.localhost", "/ran").body
    assert body == b"1000\n"  # its own user's, in its own container


def test_an_upload_during_a_build(mallory: Hostile, attack: Attack) -> None:
    """Each build is of the source that it came with, and of two the later one counts."""
    with attack("upload during a build"):
        sent = [mallory.upload(FORGE, dockerfile(f"RUN sleep 1; echo source {n}", f"COPY n /{n}", n=n)).json
                for n in ("one", "two")]  # fmt: skip
        first, second = [mallory.build_ended(FORGE, build["id"]) for build in sent]
        live = mallory.live(FORGE)
    assert re.search(r"source one\n", first.log) and "source two" not in first.log
    assert "source two" in second.log
    assert first.row["version"] < live["version"] and live["build"] == sent[1]["id"]
