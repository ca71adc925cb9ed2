"""Every command that README.md and docs/ show is run here, in the document's order, on the whole platform.

The file's name makes it the last in this folder: the last document takes the platform away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.commands import DOCUMENTS, Command, File, commands, steps
from tests.e2e.platform import PORT, Platform
from tests.e2e.shell import Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]
README, TUTORIAL = "README.md", "docs/tutorial/first-deploy.md"
TENANTS, PROXY = "docs/how-to/add-tenants.md", "docs/how-to/run-behind-a-proxy.md"
PRODUCTION, UNINSTALL = "docs/how-to/run-in-production.md", "docs/how-to/uninstall.md"
API, BENCH = "docs/reference/api.md", "docs/reference/bench.md"
LOW_PORT = 639

# Documents whose commands have a test of their own.
ELSEWHERE = {
    "docs/how-to/use-postgresql.md": "it needs a PostgreSQL",
    "docs/how-to/use-registries.md": "it needs a registry; tests/cli/test_registries.py runs its commands",
}
# What is not run, and why.
NOT_RUN = {
    (README, "sudo bin/test"): "it is what runs this",
    (PRODUCTION, "sudo bin/up --systemd"): "where this runs, systemd does not",
    (PRODUCTION, "echo bfq | sudo tee /etc/modules-load.d/bfq.conf"): "it changes the machine's disks",
    (
        PRODUCTION,
        """echo 'ACTION=="add|change", KERNEL=="vda", ATTR{queue/scheduler}="bfq"' """
        "| sudo tee /etc/udev/rules.d/60-bfq.rules",
    ): "it changes the machine's disks",
    (PRODUCTION, "sudo modprobe bfq && sudo udevadm trigger /dev/vda"): "it changes the machine's disks",
    (PROXY, "sudo cp proxy-ca.crt /usr/local/share/ca-certificates/"): "it changes whom the machine trusts",
    (PROXY, "sudo update-ca-certificates"): "it changes whom the machine trusts",
    (UNINSTALL, "sudo -u postgres dropdb berth"): "it needs a PostgreSQL",
    (UNINSTALL, "sudo -u postgres dropuser berth"): "it needs a PostgreSQL",
    (UNINSTALL, "sudo userdel berth"): "another Berth on this machine has the same user",
    (
        UNINSTALL,
        "sudo apt-get remove crun runc conmon catatonit tini mmdebstrap skopeo nftables",
    ): "others on this machine need them",
    (BENCH, "sudo apt-get install docker.io iptables"): "bin/test has installed them",
    (BENCH, "sudo bin/bench hostile"): "it is the tests of tests/e2e/hostile",
    (BENCH, "sudo bin/bench deploy --docker"): "it takes minutes: `launch` alone is run with Docker beside it",
    (BENCH, "sudo bin/bench build --docker"): "it takes minutes: `launch` alone is run with Docker beside it",
    (BENCH, "sudo bin/bench density --docker"): "it takes minutes: `launch` alone is run with Docker beside it",
}
# What is run instead.
INSTEAD = {
    # The very first link, which needs no --link, has been used by then.
    (TUTORIAL, "sudo bin/up --detach"): "sudo bin/up --detach --link",
}
# What stands in a document, and what is put in its place.
HERE = {
    ".localhost:8080": f".localhost:{PORT}",
    "--port 80 ": f"--port {LOW_PORT} ",
    "--rounds 20": "--rounds 1",
    "bench launch --docker": "bench launch --docker --rounds 1",
    "--containers 100": "--containers 3",
    "--apps 1000 --minutes 10": "--apps 2 --minutes 0.05",
    "berth_…": "{token}",
}
# What goes on until another command ends it, and what it prints when it is ready.
STAYS = {"sudo bin/up": "Berth is up."}


def is_up(platform: Platform, terminal: Terminal) -> None:
    assert platform.is_up() and platform.app("hello").status == 200


def only_apps_serve(platform: Platform, terminal: Terminal) -> None:
    assert platform.app("hello").status == 200
    assert not Path(platform.environment["BERTH_RUN"], "sockets", "web.sock").exists()


def guestbook_answers(platform: Platform, terminal: Terminal) -> None:
    assert b"<form" in platform.app("guestbook").body


def shop_goes_live(platform: Platform, terminal: Terminal) -> None:
    assert platform.settled("shop")["status"] == "live"


def browser_opens_greeter(platform: Platform, terminal: Terminal) -> None:
    assert (terminal.home / "opened").read_text() == f"http://greeter-demo.localhost:{PORT}"


def a_link_works(platform: Platform, terminal: Terminal) -> None:
    link = re.search(r"/sign-in/link/\S+", terminal.output.read_text())
    assert link and platform.request("berth.localhost", link[0]).status == 200


def domain_is_in_use(platform: Platform, terminal: Terminal) -> None:
    for host in ("berth.apps.example.com", "hello-demo.apps.example.com"):
        assert platform.request(host, "/healthz", port=LOW_PORT).status in (200, 301), host


def state_is_kept(platform: Platform, terminal: Terminal) -> None:
    assert not Path(platform.environment["BERTH_RUN"]).exists()
    assert Path(platform.environment["BERTH_STATE"], "db").exists()


def nothing_is_kept(platform: Platform, terminal: Terminal) -> None:
    assert not Path(platform.environment["BERTH_STATE"]).exists()


# What the text around a command says of it, beyond what it prints.
PROMISES: dict[tuple[str, str], Callable[[Platform, Terminal], None]] = {
    (README, "sudo bin/up"): is_up,
    (README, "berth deploy examples/flask-guestbook"): guestbook_answers,
    (README, "sudo bin/down"): only_apps_serve,
    (TENANTS, "sudo bin/up --detach --link"): a_link_works,
    (TUTORIAL, "berth open"): browser_opens_greeter,
    (TUTORIAL, "sudo bin/down"): only_apps_serve,
    (PRODUCTION, "sudo BERTH_DOMAIN=apps.example.com bin/up --port 80 --detach"): domain_is_in_use,
    (API, commands(API)[-1].text): shop_goes_live,
    (UNINSTALL, "sudo bin/down --all"): state_is_kept,
    (UNINSTALL, "sudo bin/down --all --purge"): nothing_is_kept,
}
SHOWN = [name for name in DOCUMENTS if commands(name) and name not in ELSEWHERE]
FIRST = [README, PROXY]  # the one leaves Berth stopped, so that the other's new setting costs no restart
LAST = [TUTORIAL, PRODUCTION, UNINSTALL]  # which leave it stopped, at another address, and gone
ORDER = [*FIRST, *(name for name in SHOWN if name not in (*FIRST, *LAST)), *LAST]
INSTALL = [c for c in commands(README) if c.text.startswith(("python3 -m venv ", ". ", "pip install "))]


@pytest.fixture(scope="module")
def terminal(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    found = Terminal.made_in(tmp_path_factory.mktemp("home"), platform)
    yield found
    found.close()


@pytest.mark.parametrize("document", ORDER)
def test_a_document_can_be_followed(document: str, platform: Platform, terminal: Terminal) -> None:
    terminal.open()
    if takes_berth_for_granted(document):
        prepare(platform, terminal)
    for step in steps(document):
        if isinstance(step, File):
            (terminal.folder / step.name).write_text(step.text)
        elif (document, step.text) not in NOT_RUN:
            follow(step, platform, terminal)
    assert set(terminal.ends()) <= {0}


def takes_berth_for_granted(document: str) -> bool:
    return not any(re.search(r"\bbin/(up|down)\b", command.text) for command in commands(document))


def prepare(platform: Platform, terminal: Terminal) -> None:
    if not platform.is_up():
        platform.up("--no-example")
    if not (terminal.clone / ".venv").exists():
        for command in INSTALL:
            follow(command, platform, terminal)
    terminal.open()


def follow(command: Command, platform: Platform, terminal: Terminal) -> None:
    key = (command.document, command.text)
    text = here(INSTEAD.get(key, command.text), platform)
    if text in STAYS:
        done = terminal.start(text, until=STAYS[text])
    else:
        done = terminal.run(text, typed=f"{platform.token}\n" if text.startswith("berth login ") else "")
    told = f"{command.document}, line {command.line}: {text}\n{done.output}"
    assert done.status == 0, told
    assert printed([here(line, platform) for line in command.prints], done.output), told
    if key in PROMISES:
        PROMISES[key](platform, terminal)


def here(text: str, platform: Platform) -> str:
    for words, instead in HERE.items():
        text = text.replace(words, instead.format(token=platform.token))
    return text


def printed(lines: list[str], output: str) -> bool:
    """Whether the lines are there in this order; how wide a table's columns are does not count."""
    rest = iter([" ".join(line.split()) for line in output.splitlines()])
    patterns = [re.escape(" ".join(line.split())).replace("…", ".*") for line in lines]
    return all(any(re.fullmatch(pattern, line) for line in rest) for pattern in patterns)


def test_the_tables_name_nothing_that_is_not_shown() -> None:
    shown = [command for document in DOCUMENTS for command in commands(document)]
    keys = {(command.document, command.text) for command in shown}
    assert {*NOT_RUN, *INSTEAD, *PROMISES} <= keys
    assert set(ELSEWHERE) <= {document for document, _ in keys}
    assert set(STAYS) <= {text for _, text in keys}
    assert [words for words in HERE if not any(words in text for _, text in keys)] == []


def test_words_are_found_in_order() -> None:
    output = "NAME   STATE\nv2     live  now\nmore\nv1     retired"
    assert printed(["NAME STATE", "v2 live …", "v1 retired"], output)
    assert not printed(["v1 retired", "v2 live …"], output)
    assert not printed(["v2 live"], output)
