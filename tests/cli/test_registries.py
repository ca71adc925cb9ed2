"""`berth push`, `berth deploy --image` and `berth registries`."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from django.conf import settings
from django.db import connections

from tenants.registries import observations
from tenants.registries.models import Export, Login, Push
from tests.cli.berth import Berth, Worker
from tests.cli.test_commands import begun
from tests.docs.commands import commands
from tests.web.cast import Cast

IMAGE = "registry.example/team/shop:v1"
DIGEST = "sha256:" + "a" * 64  # that of the cast's image, too


@contextmanager
def pusher(error: str = "") -> Iterator[None]:
    def work() -> None:
        while (row := Push.objects.filter(status="queued").first()) is None:
            time.sleep(0.02)
        push = observations.claim(row.pk)
        assert push is not None
        if error:
            observations.failed(push, {"summary": error, "hint": "try again", "details": {}})
        else:
            observations.done(push, DIGEST)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()


def test_push_waits_and_prints_the_digest(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.developer)
    with pusher():
        done = berth.run("push", "v1", IMAGE, "--app", "demo/shop")
    assert done.stdout == f"Pushed v1 to {IMAGE}@{DIGEST}\n"
    exact = f"{IMAGE.partition(':')[0]}@{DIGEST}"
    with pusher():
        assert berth.run("push", "v1", exact, "--app", "demo/shop").stdout == f"Pushed v1 to {exact}\n"
    with pusher("pushing it failed"):
        failed = berth.run("push", "v1", IMAGE, "--app", "demo/shop")
    assert failed.returncode == 1 and "pushing it failed" in failed.stderr
    assert "is queued" in berth.run("push", "1", IMAGE, "--app", "demo/shop", "--no-wait").stdout
    assert "is not a release" in berth.run("push", "new", IMAGE, "--app", "demo/shop").stderr
    assert "has no release v9" in berth.run("push", "v9", IMAGE, "--app", "demo/shop").stderr


def test_an_image_is_deployed_instead_of_a_folder(berth: Berth, cast: Cast, worker: Worker) -> None:
    berth.sign_in(cast.developer)
    done = berth.run("deploy", "--image", IMAGE, "--app", "demo/shop")
    assert done.returncode == 0 and "v2 is live" in done.stdout, done.stderr
    assert "Packed" not in done.stderr
    wrong = berth.run("deploy", "--image", "redis:7", "--app", "demo/shop")
    assert wrong.returncode == 1 and "docker.io/library/redis:7" in wrong.stderr


def test_sign_in_and_out(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.developer)
    words = ("registries", "login", "registry.example:5000", "-u", "sailor", "--password-stdin", "-t", "demo")
    done = berth.run(*words, stdin="very-secret\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "demo signs in to registry.example:5000 as sailor.\n"
    assert "Whether the password is right shows with the first deploy or push." in done.stderr
    assert Login.objects.get().password == "very-secret"
    listed = berth.run("registries", "list", "-t", "demo").stdout
    assert "registry.example:5000" in listed and "sailor" in listed and "very-secret" not in listed
    out = ("registries", "logout", "registry.example:5000", "-t", "demo")
    assert berth.run(*out).returncode == 0
    assert not Login.objects.exists()
    again = berth.run(*out)
    assert again.returncode == 1 and "demo is not signed in to 'registry.example:5000'" in again.stderr
    assert not again.stdout


@pytest.mark.parametrize("words", [("push", "v1", IMAGE), ("registries", "list", "-t", "demo")])
def test_viewers_may_not(berth: Berth, cast: Cast, words: tuple[str, ...]) -> None:
    berth.sign_in(cast.viewer)
    berth.env["BERTH_APP"] = "demo/shop"
    refused = berth.run(*words)
    assert refused.returncode == 1 and "developer" in refused.stderr


@pytest.mark.filterwarnings(
    "ignore:StreamingHttpResponse must consume"
)  # this server is not the one for streams
def test_an_image_is_exported_to_a_file(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.developer)
    settings.PATHS.exports.mkdir(exist_ok=True)
    made = Export.objects.create(app=cast.app, release=cast.app.releases.get(), status="done", size=5)
    argv = ("export", "v1", "--app", "demo/shop")
    broken = berth.run(*argv)
    assert broken.returncode == 1 and [*berth.home.glob("*.tar")] == []
    (settings.PATHS.exports / made.pk).write_bytes(b"image")
    done = berth.run(*argv)
    assert done.stdout == "Wrote v1 to shop-v1.tar (5 bytes).\n", done.stderr
    assert (berth.home / "shop-v1.tar").read_bytes() == b"image"
    assert "shop-v1.tar is there already" in berth.run(*argv).stderr
    assert "is not a release" in berth.run("export", "new", "--app", "demo/shop").stderr


HOW_TO = "docs/how-to/use-registries.md"
BERTH = [command.text for command in commands(HOW_TO) if command.text.startswith("berth ")]
UP = [command.text for command in commands(HOW_TO) if command.text.startswith("sudo ")]


def test_the_how_to_shows_nothing_else() -> None:
    assert sorted([*BERTH, *UP]) == sorted(command.text for command in commands(HOW_TO))


def test_the_commands_of_the_how_to_do_what_it_says(berth: Berth, cast: Cast, worker: Worker) -> None:
    """Who plays the worker has an image, and no registry: tests/worker/test_registry.py has those."""
    berth.sign_in(cast.developer)
    (berth.home / "token.txt").write_text("very-secret\n")
    printed = {}
    for command in BERTH:
        words, _, file = command.partition(" < ")
        stdin = (berth.home / file).read_text() if file else ""
        with pusher() if words.startswith("berth push ") else nullcontext():
            done = berth.run(*shlex.split(words)[1:], stdin=stdin)
        assert done.returncode == 0, (command, done.stderr)
        printed[words.split(" registry.example")[0]] = done.stdout
        if file:
            assert Login.objects.get().password == "very-secret"
    assert "v2 is live" in printed["berth deploy --image"]
    assert "registry.example" in printed["berth registries list --tenant demo"]
    assert DIGEST in printed["berth push v1"]
    assert not Login.objects.exists()


@pytest.mark.parametrize("command", UP)
def test_the_settings_of_the_how_to_are_read(command: str) -> None:
    """bin/up itself is run by tests/e2e; what is new here is what it is told."""
    sudo, *given, program, option = shlex.split(command)
    assert (sudo, program, option) == ("sudo", "bin/up", "--detach") and given
    named = dict(word.split("=") for word in given)
    code = "import sys; from paas import settings\nfor name in sys.argv[1:]: print(*getattr(settings, name))"
    names = [name.removeprefix("BERTH_") for name in named]
    env = {**os.environ, **named}
    done = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, env=env, check=True
    )
    assert done.stdout.split() == list(named.values())


def first_of(kind: type[Push] | type[Export]) -> Push | Export:
    deadline = time.monotonic() + 20
    while (row := kind.objects.first()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return row


@pytest.mark.parametrize(("kind", "words"), [(Push, ("push", "v1", IMAGE)), (Export, ("export", "v1"))])
def test_one_that_is_waited_for_goes_on_after_an_interrupt_until_it_is_cancelled(
    berth: Berth, cast: Cast, kind: type[Push] | type[Export], words: tuple[str, ...]
) -> None:
    berth.sign_in(cast.developer)
    with begun(berth, *words, "--app", "demo/shop") as process:
        row = first_of(kind)
        time.sleep(1.0)  # it has the answer
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    rows = "pushes" if kind is Push else "exports"
    cancel = f"berth {rows} cancel {row.pk} --app demo/shop"
    assert process.returncode == 130
    assert told.splitlines()[-1] == f"The {words[0]} goes on. To cancel it: {cancel}"
    assert berth.run(*cancel.split()[1:]).stdout == "Cancelled.\n"
    again = berth.run(*cancel.split()[1:])
    assert again.returncode == 1 and "has ended already: it was cancelled" in again.stderr


def test_a_push_that_somebody_cancelled_says_so_and_is_listed(berth: Berth, cast: Cast) -> None:
    berth.sign_in(cast.developer)
    assert "has no pushes" in berth.run("pushes", "cancel", "--app", "demo/shop").stderr
    with begun(berth, "push", "v1", IMAGE, "--app", "demo/shop") as process:
        first_of(Push)
        assert berth.run("pushes", "cancel", "--app", "demo/shop").stdout == "Cancelled.\n"
        _, told = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"the push was cancelled\nHint: To ask for it again: berth push v1 {IMAGE}" in told
    (row,) = berth.run("pushes", "list", "--app", "demo/shop").stdout.splitlines()[1:]
    assert row.split()[:4] == ["v1", Push.objects.get().pk, "cancelled", IMAGE]
