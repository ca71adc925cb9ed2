"""The base image's plan. Building it takes a minute and the network: the end-to-end tests do, by bin/up."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.errors import HostProblem
from paas.images.apt_sources import (
    AptSource,
    _require_keys,
    debian_sources,
    network_options,
    parse_deb822,
    parse_list,
)
from paas.images.base import build_base, mmdebstrap_argv
from paas.images.store import Store
from paas.oci.config import ImageConfig

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
# comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
 bookworm-backports
Components: main contrib
Signed-By: {KEYRING}

Types: deb
URIs: http://security.example/debian
Suites: bookworm-security
Components: main
Signed-By: {KEYRING}

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://vendor.example/linux
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY
"""
LIST = """\
deb http://mirror.example/debian trixie main contrib # comment
deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example/linux trixie main
#deb http://off.example/debian trixie main
deb-src http://mirror.example/debian trixie main
deb https://vendor.example/other trixie stable
"""


def apt(folder: Path, *, sources: str = "", one_line: str = "") -> Path:
    (folder / "sources.list.d").mkdir()
    (folder / "sources.list.d/debian.sources").write_text(sources)
    (folder / "sources.list").write_text(one_line)
    return folder


def test_sources_in_either_format() -> None:
    assert [(s.uri, s.suite) for s in parse_deb822(DEB822)][:3] == [
        ("http://mirror.example/debian", suite)
        for suite in ("bookworm", "bookworm-updates", "bookworm-backports")
    ]
    first, second, *_ = parse_list(LIST)
    assert first == AptSource("http://mirror.example/debian", "trixie", ("main", "contrib"))
    assert second.signed_by == "/usr/share/keyrings/vendor.gpg"


def test_debian_itself_is_found_and_no_other_vendor(tmp_path: Path) -> None:
    found = debian_sources("bookworm", apt(tmp_path, sources=DEB822, one_line=LIST))
    assert [source.line() for source in found] == [
        f"deb [signed-by={KEYRING}] http://mirror.example/debian bookworm main",
        f"deb [signed-by={KEYRING}] http://mirror.example/debian bookworm-updates main",
        f"deb [signed-by={KEYRING}] http://security.example/debian bookworm-security main",
    ]
    assert [s.line() for s in debian_sources("trixie", tmp_path)] == [
        "deb http://mirror.example/debian trixie main"
    ]


def test_a_suite_that_the_host_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(
        HostProblem, match=r"no source for Debian sid; set BERTH_BASE_SUITE to .* \(bookworm, trixie\)"
    ):
        debian_sources("sid", apt(tmp_path, sources=DEB822, one_line=LIST))


def test_a_release_that_the_host_does_not_run_is_where_its_own_is(tmp_path: Path) -> None:
    found = debian_sources("trixie", apt(tmp_path, sources=DEB822))
    assert [source.line() for source in found] == [
        f"deb [signed-by={KEYRING}] http://mirror.example/debian trixie main",
        f"deb [signed-by={KEYRING}] http://mirror.example/debian trixie-updates main",
        f"deb [signed-by={KEYRING}] http://security.example/debian trixie-security main",
    ]


def test_a_keyring_that_is_older_than_the_release(tmp_path: Path) -> None:
    (tmp_path / "debian-archive-bookworm-stable.gpg").touch()
    _require_keys("bookworm", [tmp_path])
    with pytest.raises(HostProblem, match=r"no keys for Debian trixie: .*; apt-get update && apt-get install"):
        _require_keys("trixie", [tmp_path])


def test_a_password_never_goes_into_an_image(tmp_path: Path) -> None:
    with pytest.raises(HostProblem, match="has a password in its address") as caught:
        debian_sources(
            "trixie", apt(tmp_path, one_line="deb https://me:secret@mirror.example/debian trixie main")
        )
    assert "secret" not in str(caught.value)


def test_proxies_and_certificates_of_the_host_are_passed_on() -> None:
    dump = (
        'APT "";\nAcquire::http "";\nAcquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::https::CaInfo "/etc/ssl/own.pem";\nAcquire::Languages:: "en";\nAcquire::Retries "3";\n'
        'Acquire::cdrom::mount "/media/cdrom/";\nDPkg::Post-Invoke:: "rm -rf /";\n'
    )
    assert network_options(dump) == (
        'Acquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::https::CaInfo "/etc/ssl/own.pem";\nAcquire::Retries "3";\n'
    )


def test_the_command_names_no_host_of_ours() -> None:
    argv = mmdebstrap_argv(
        "trixie", [AptSource("http://mirror.example/debian", "trixie", ("main",))], Path("/opts")
    )
    assert argv[:5] == [
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        "--format=tar",
        "--include=ca-certificates,python3,python3-venv,python3-pip,python-is-python3,nginx,tzdata,netbase",
    ]
    assert "--aptopt=/opts" in argv
    assert argv[-3:] == ["trixie", "-", "deb http://mirror.example/debian trixie main"]
    assert [word for word in argv if "://" in word] == argv[-1:]


@pytest.mark.kernel
def test_a_base_that_is_there_is_not_built_again(store: Store) -> None:
    spec = store.put_image(ImageConfig())
    store.tag("debian:12", spec.digest)
    assert build_base(store, log=pytest.fail) == spec
