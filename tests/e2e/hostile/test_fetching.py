"""What a build fetches, from a machine outside that means harm as well."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from tests.e2e.hostile.conftest import Attack
from tests.e2e.hostile.tenant import SLUG, Hostile, archive
from tests.e2e.platform import PORT, Platform
from tests.worker.registries import ADDRESS, HOSTILE, Outside, outside

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]
APP, METADATA = "fetcher", "169.254.169.254"
MOVED = {
    "loopback": f"http://127.0.0.1:{PORT}/file",
    "to-file": "file:///etc/passwd",
    "link-local": f"http://{METADATA}/file",
}
SUM = "0" * 64


@pytest.fixture(scope="module")
def world(platform: Platform, mallory: Hostile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A machine that the host reaches, with a web site; it would answer for a cloud's metadata service, too."""
    mallory.create(APP)
    prefix = IPv4Network(platform.environment["BERTH_CONTAINER_PREFIX"])
    with outside(tmp_path_factory.mktemp("outside"), prefix, default=False) as world:
        subprocess.run(["ip", "route", "add", METADATA, "via", ADDRESS, "dev", "up0"], check=True)
        world.peer("run", "ip", "address", "add", f"{METADATA}/32", "dev", "lo")
        moved = {f"/{name}": ["302 Found", f"Location: {url}\r\n", ""] for name, url in MOVED.items()}
        world.peer("serve_http", 80, {"/file": ["200 OK", "", "a file"], **moved})
        yield world


def add(url: str) -> bytes:
    lines = ("FROM debian:12", f"ADD --checksum=sha256:{SUM} {url} /x", 'CMD ["true"]')
    return archive({"Dockerfile": "\n".join(lines)})


def test_addresses_of_the_host(mallory: Hostile, world: Outside, attack: Attack) -> None:
    """By themselves, and by a redirect from a place that is allowed."""
    own = [f"http://{where}:{PORT}/" for where in ("127.0.0.1", "localhost", "[::1]")]
    with attack("ADD from loopback"):
        found = [mallory.built(APP, add(url)) for url in own]
    with attack("ADD, redirected"):
        moved = [mallory.built(APP, add(f"http://{ADDRESS}/{name}")) for name in ("loopback", "to-file")]
        there = mallory.built(APP, add(f"http://{ADDRESS}/file"))
    assert all("could not be fetched" in built.error for built in found + moved), (found, moved)
    assert "has the checksum" in there.error, "it was fetched, and was another file than the one asked for"
    assert [line.split()[1] for line in world.peer("has_heard")] == ["/loopback", "/to-file", "/file"]


def test_link_local_addresses(mallory: Hostile, world: Outside, attack: Attack) -> None:
    """There is no answer, so that a build would wait for ten seconds: it is taken back when it has asked."""
    heard = len(world.peer("has_heard"))
    with attack("ADD from link-local"):
        for url in (f"http://{METADATA}/file", f"http://{ADDRESS}/link-local"):
            before = refused()
            build = mallory.upload(APP, add(url)).json["id"]
            end = time.monotonic() + 30
            while refused() == before:
                assert time.monotonic() < end and mallory.build(APP, build)["status"] in ("queued", "running")
                time.sleep(0.05)
            mallory.api(f"/apps/{SLUG}/{APP}/builds/{build}/cancel", "POST", {})
            ended = mallory.build_ended(APP, build)
            assert ended.status == "cancelled", ended.error
    assert [line.split()[1] for line in world.peer("has_heard")[heard:]] == ["/link-local"]


def refused() -> int:
    """Packets to places that are closed to every tenant."""
    listing = ["nft", "list", "set", "inet", "beberth", "refused_closed"]
    told = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    return sum(map(int, re.findall(r"packets (\d+)", told)))


def test_registries(mallory: Hostile, world: Outside, attack: Attack) -> None:
    """One whose layer is not what its digest says, one that sends on to loopback; and one that is honest."""
    found = {}
    for behaviour in ("other-layer", "loopback", "honest"):
        with world.hostile(behaviour), attack(f"registry: {behaviour}"):
            body = {"image": f"{HOSTILE}/evil:1"}
            answer = mallory.api(f"/apps/{SLUG}/{APP}/deploys/image", "POST", body)
            assert answer.status == 202, answer.body
            found[behaviour] = mallory.build_ended(APP, answer.json["id"])
    assert re.search("digest|match", found["other-layer"].error), found["other-layer"]
    assert "connection refused" in found["loopback"].error, found["loopback"]
    assert found["honest"].status == "succeeded", found["honest"]
