"""`berth deploy FILE`: an archive that somebody made is sent as it is."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile

import pytest
from django.conf import settings

from tenants.releases.models import Build, Source
from tests.cli.berth import Berth, Worker
from tests.web.cast import Cast

APP = ("--app", "demo/shop")


def archive(kind: str, content: bytes = b"print('hello')\n") -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as zipped:
            zipped.writestr("app.py", content)
    else:
        with tarfile.open(fileobj=out, mode="w:gz" if kind == "tar.gz" else "w") as packed:
            info = tarfile.TarInfo("app.py")
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "zip"])
def test_an_archive_is_sent_as_it_is_whatever_its_name(
    berth: Berth, cast: Cast, worker: Worker, kind: str
) -> None:
    berth.sign_in(cast.developer)
    sent = archive(kind)
    (berth.home / "backup.bin").write_bytes(sent)
    done = berth.run("deploy", "backup.bin", *APP)
    assert done.returncode == 0 and "v2 is live" in done.stdout, done.stderr
    source = Source.objects.latest("created_at")
    assert (source.kind, source.name) == (kind, "backup.bin")
    assert (settings.PATHS.sources / source.pk).read_bytes() == sent


def test_a_large_one_that_the_server_has_is_not_sent_again(berth: Berth, cast: Cast, worker: Worker) -> None:
    berth.sign_in(cast.developer)
    (berth.home / "docker.tar").write_bytes(archive("tar", os.urandom(2 << 20)))
    (berth.home / ".berth").write_text("demo/shop\n")  # of the folder where the command is run
    elsewhere = berth.home / "elsewhere"
    elsewhere.mkdir()
    first = berth.run("deploy", "docker.tar")
    assert first.returncode == 0 and "it is not sent" not in first.stderr, first.stderr
    (berth.home / "docker.tar").rename(elsewhere / "other.tar")
    (elsewhere / ".berth").write_text("demo/nothing\n")
    second = berth.run("deploy", "elsewhere/other.tar")
    assert second.returncode == 0 and "The server has this already: it is not sent." in second.stderr
    newest, before = Build.objects.filter(app=cast.app)[:2]
    assert newest.source == before.source


def test_what_is_no_archive_is_told_before_anything_is_sent(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.developer)
    before = Source.objects.count()
    (berth.home / "app.tar.gz").write_text("print('hello')\n" * 99)
    (berth.home / "empty.zip").touch()
    for name in ("app.tar.gz", "empty.zip"):
        wrong = berth.run("deploy", name, *APP)
        assert wrong.returncode == 1 and f"{name} is not a .tar.gz, a .tar or a .zip" in wrong.stderr
    gone = berth.run("deploy", "none.tar", *APP)
    assert gone.returncode == 1 and "none.tar is neither a folder nor a file" in gone.stderr
    assert Source.objects.count() == before
