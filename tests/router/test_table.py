"""The folder that Caddy looks hosts up in."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.errors import BadInput
from paas.router import Table
from paas.router.names import host
from paas.router.table import DIGITS, files_of
from paas.specs import Route


def found(folder: Path) -> dict[str, list[str]]:
    return {place.name: sorted(file.name for file in place.iterdir()) for place in folder.iterdir()}


def route(host: str, *upstreams: str) -> Route:
    return Route("a" * 12, "1" * 12, (host,), upstreams)


def test_a_host_is_a_folder_and_its_files_say_where_to_go(tmp_path: Path) -> None:
    table = Table(tmp_path)
    assert table.write([route("A.example", "10.0.0.2:80", "10.0.0.1:8000"), route("b.example")])
    assert found(tmp_path) == {
        "a.example": ["0123456789abcdef=10.0.0.1:8000,10.0.0.2:80"],
        "b.example": ["none"],
    }


def test_the_same_again_changes_nothing_and_what_is_gone_goes(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.write([route("a.example", "10.0.0.1:80"), route("b.example", "10.0.0.2:80")])
    before = (tmp_path / "a.example").stat().st_mtime_ns
    assert not table.write([route("b.example", "10.0.0.2:80"), route("a.example", "10.0.0.1:80")])
    assert (tmp_path / "a.example").stat().st_mtime_ns == before
    assert table.write([route("b.example")])
    assert found(tmp_path) == {"b.example": ["none"]}


def test_caddy_may_read_it(tmp_path: Path) -> None:
    Table(tmp_path).write([route("a.example")])
    assert [path.stat().st_mode & 0o555 for path in tmp_path.rglob("*")] == [0o555, 0o444]


def test_a_table_that_was_left_half_written_is_put_right(tmp_path: Path) -> None:
    (tmp_path / "a.example").mkdir()
    (tmp_path / "a.example" / "0=10.0.0.9:80").touch()
    (tmp_path / "gone.example").mkdir()
    assert Table(tmp_path).write([route("a.example", "10.0.0.1:80")])
    assert found(tmp_path) == {"a.example": ["0123456789abcdef=10.0.0.1:80"]}


upstreams = st.builds("{}:{}".format, st.ip_addresses(v=4), st.integers(1, 65_535))


@given(st.lists(upstreams, min_size=1, max_size=176, unique=True))
def test_every_upstream_is_named_once_and_every_digit_leads_to_some(dials: list[str]) -> None:
    names = files_of(dials)
    assert sorted("".join(name.partition("=")[0] for name in names)) == list(DIGITS)
    assert sorted(dial for name in names for dial in name.partition("=")[2].split(",")) == sorted(dials)
    assert max(len(name) for name in names) <= 255


def test_there_is_a_limit() -> None:
    with pytest.raises(BadInput, match="176 web containers at most"):
        files_of([f"10.0.0.1:{port}" for port in range(1, 178)])


@pytest.mark.parametrize(
    "name",
    ["", "*", "*.example.org", "{env.HOME}", "a..b", "-a.b", "a-.b", "a/b", "a:80", "a b", "a\nb", "é.org",
     "a" * 254, "..", ".", ".hidden"],
)  # fmt: skip
def test_what_is_no_host_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="is no host name"):
        Table(tmp_path).write([route(name)])
    assert found(tmp_path) == {}


@given(st.lists(st.text(string.ascii_letters + string.digits, min_size=1, max_size=10), min_size=1, max_size=4))
def test_a_host_name_is_taken_in_lower_case(labels: list[str]) -> None:
    assert host(".".join(labels)) == ".".join(labels).lower()


@pytest.mark.parametrize(
    "upstream",
    ["", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:080", "10.0.0.1:+80", "unix//run/x", "app:80",
     "{env.X}:80", "10.0.0.1:80 ", "10.0.0.1:8000-9000", "[::1]:80", "../x:80"],
)  # fmt: skip
def test_what_is_no_upstream_is_refused(tmp_path: Path, upstream: str) -> None:
    with pytest.raises(BadInput, match="is no upstream"):
        Table(tmp_path).write([route("a.example", upstream)])
    assert found(tmp_path) == {}


def test_of_some_hosts_the_others_stay_as_they_are(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.write(
        [route("a-x.example", "10.0.0.1:80"), route("b-x.example"), route("a-y.example", "10.0.0.2:80")]
    )
    assert table.write([route("a-x.example")], of="-X.example")
    assert found(tmp_path) == {"a-x.example": ["none"], "a-y.example": ["0123456789abcdef=10.0.0.2:80"]}
