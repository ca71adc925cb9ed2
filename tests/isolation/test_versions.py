"""What counts as known to be bad: pure, but for dpkg, which is asked whether it agrees about the order."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise

import pytest

from paas.errors import HostProblem
from paas.host import known_bad
from paas.host.check import versions
from paas.isolation import installed
from paas.isolation.debian_versions import is_before, is_before_upstream, upstream_of
from paas.isolation.versions import Entry, Finding, Installed, entries, findings

# Each before the one after it.
IN_ORDER = (
    "1.0~rc1-1", "1.0~rc1+ds1-1", "1.0-1~bpo12+1", "1.0-1", "1.0-1+b2", "1.0-1+b10", "1.0-1+deb12u1", "1.0-2",
    "1.0a-1", "1.0+ds1-1", "1.0.1-1", "1.9-1", "1.10-1", "1:0.1-1", "1:0.1-1.1",
)  # fmt: skip


def test_the_order_is_dpkgs() -> None:
    for one, other in pairwise(IN_ORDER):
        assert is_before(one, other) and not is_before(other, one), (one, other)
        assert subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False).returncode == 0
    assert not is_before("1.0-1", "1.0-1")
    assert not is_before("1.00-1", "1.0-1") and not is_before("1.0-1", "1.00-1")


def test_release_candidates_come_before_their_release() -> None:
    numbers = ("1.0.0-rc93", "1.0.0", "1.1.12", "1.4.0-rc.1", "1.4.0-rc.3", "1.4.0")
    assert all(is_before_upstream(one, other) for one, other in pairwise(numbers))


@pytest.mark.parametrize(
    ("package", "upstream"),
    [("1:2.39.5-0+deb12u3", "2.39.5"), ("1.1.5+ds1-1+deb12u1", "1.1.5"), ("6.1.137-1", "6.1.137"), ("9", "9")],
)
def test_upstreams_number_in_a_package_version(package: str, upstream: str) -> None:
    assert upstream_of(package) == upstream


# (program, upstream, package, suite, id, whether it is known to be bad)
CASES = (
    ("runc", "1.1.11", "", "bookworm", "CVE-2024-21626", True),
    ("runc", "1.1.12", "", "bookworm", "CVE-2024-21626", False),
    ("runc", "1.0.0-rc92", "", "bookworm", "CVE-2024-21626", False),
    ("runc", "1.1.5", "1.1.5+ds1-1", "bookworm", "CVE-2024-21626", True),
    ("runc", "1.1.5", "1.1.5+ds1-1+deb12u1", "bookworm", "CVE-2024-21626", False),
    ("runc", "1.1.5", "1.1.5+ds1-1+deb12u1", "sid", "CVE-2024-21626", True),
    ("runc", "1.3.2", "", "trixie", "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881", True),
    ("runc", "1.2.8", "", "trixie", "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881", False),
    ("crun", "1.8.1", "1.8.1-1+deb12u1", "bookworm", "CVE-2026-30892", False),
    ("crun", "1.21", "1.21-1", "trixie", "CVE-2026-30892", True),
    ("git", "2.39.5", "1:2.39.5-0+deb12u2", "bookworm", "CVE-2025-48384", True),
    ("git", "2.39.5", "1:2.39.5-0+deb12u3", "bookworm", "CVE-2025-48384", False),
    ("git", "2.47.3", "1:2.47.3-0+deb13u1", "trixie", "CVE-2025-48384", False),
    ("kernel", "6.1.0", "6.1.27-1", "bookworm", "CVE-2023-3269", True),
    ("kernel", "6.1.0", "6.1.137-1", "bookworm", "CVE-2023-3269", False),
    ("kernel", "6.2.10", "", "", "CVE-2023-3269", True),
    ("kernel", "6.18.44", "", "", "CVE-2024-1086", False),
    ("kernel", "6.6.14", "", "", "CVE-2024-1086", True),
    ("kernel", "6.1.0", "6.1.140-1", "bookworm", "CVE-2025-38236", True),
    ("kernel", "6.1.0", "6.1.147-1", "bookworm", "CVE-2025-38236", False),
    ("kernel", "6.1.0", "6.1.170-3", "bookworm", "CVE-2026-53362", True),
    ("kernel", "6.1.0", "6.1.192-2", "bookworm", "CVE-2026-53362", False),
    ("kernel", "6.18.22", "", "", "CVE-2026-53362", True),
    ("kernel", "6.18.22", "", "", "CVE-2026-31431", False),
    ("kernel", "6.18.44", "", "", "CVE-2026-53362", False),
    ("kernel", "6.12.86", "", "trixie", "CVE-2026-43284", True),
    ("kernel", "7.0.5", "", "", "CVE-2026-43284", False),
    ("kernel", "7.0.5", "", "", "CVE-2026-46300", True),
    ("kernel", "6.1.0", "6.1.174-1", "bookworm", "CVE-2026-46300", False),
    ("kernel", "6.1.130", "", "", "CVE-2025-21756", True),
    ("kernel", "6.1.131", "", "", "CVE-2025-21756", False),
    ("conmon", "2.1.1", "", "", "CVE-2022-1708", True),
    ("conmon", "2.1.6", "2.1.6+ds1-1", "bookworm", "CVE-2022-1708", False),
    ("caddy", "2.11.0", "", "", "CVE-2026-27588", True),
    ("caddy", "2.11.7", "", "", "CVE-2026-27588", False),
    ("skopeo", "1.9.3", "1.9.3+ds1-1+b10", "bookworm", "CVE-2024-3727", True),
)


@pytest.mark.parametrize(("program", "version", "package", "suite", "cve", "is_bad"), CASES)
def test_known_bad(program: str, version: str, package: str, suite: str, cve: str, is_bad: bool) -> None:
    found = findings([Installed(program, version, package)], entries(), suite)
    assert (cve in {finding.entry.id for finding in found}) is is_bad


def test_each_entry_can_be_met_and_says_where_it_is_from() -> None:
    for entry in entries():
        first, mended = entry.upstream[0]
        assert entry.concerns(Installed(entry.program, first), ""), entry.id
        assert all(is_before_upstream(*pair) for pair in entry.upstream), entry.id
        assert not entry.concerns(Installed(entry.program, mended), ""), entry.id
        assert re.fullmatch(r"(CVE-\d{4}-\d{4,}(, )?)+", entry.id)
        assert entry.source.startswith("https://") and entry.exposes[-1] == "." and entry.remedy


def test_debians_kernel_is_known_by_its_package_not_by_its_name() -> None:
    built = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.137-1 (2025-05-07)"
    assert installed.kernel("6.1.0-37-amd64", built) == Installed("kernel", "6.1.0", "6.1.137-1")
    assert installed.kernel("6.18.44-fc", "#1 SMP") == Installed("kernel", "6.18.44")


def test_what_is_installed_here_is_found() -> None:
    found = {it.program: it for it in installed.installed()}
    assert {"kernel", "crun", "conmon", "git", "skopeo", "caddy", "valkey"} <= found.keys()
    said = subprocess.run(["crun", "--version"], check=True, capture_output=True, text=True).stdout
    assert f"version {found['crun'].version}" in said


def _finding(reach: str) -> Finding:
    (entry,) = (entry for entry in entries() if entry.id == "CVE-2023-3269")
    same = {"program": "kernel", "id": entry.id, "upstream": [["6.1", "6.1.37"]], "source": entry.source}
    return Finding(
        Installed("kernel", "6.1.5"), Entry.of({**same, "reach": reach, "exposes": "Out.", "remedy": "Do it."})
    )


def test_a_start_is_refused_only_where_containers_get_out() -> None:
    known_bad.demand_sound([_finding("open"), _finding("closed")])
    with pytest.raises(HostProblem, match=r"kernel 6\.1\.5 lets containers out \(CVE-2023-3269\)") as refused:
        known_bad.demand_sound([_finding("void")])
    assert refused.value.hint == "Do it."
    assert known_bad.is_void([_finding("void")]) and not known_bad.is_void([_finding("open")])


def test_what_a_start_and_a_check_tell() -> None:
    found = [_finding("open"), _finding("closed")]
    exposed = ["  ! kernel 6.1.5: CVE-2023-3269. Exposed.", "      Out.", "      Do it."]
    more = "  1 more known to be bad, but out of the containers' reach: bin/up --check"
    assert known_bad.summary(found, 80) == [*exposed, more]
    assert versions(found, 80)[2:5] == exposed and len(versions(found, 80)) == 8
    assert versions([], 80) == ["No installed version is among those known to be bad."]
