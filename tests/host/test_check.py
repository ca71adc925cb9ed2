"""The last lines of `bin/up --check`, which say whether to go on."""

from __future__ import annotations

from paas.host.check import table, verdict
from paas.linux.probe import Capability

HERE = Capability("cgroups", True, "v2", "no limits", "mount it", required=True)
KERNEL = Capability("overlayfs", False, "ENODEV", "no container can run", "a newer kernel", required=True)
PACKAGE = Capability("tini", False, "not installed", "no reaping", "bin/up does", required=True, mended=True)
GAIN = Capability("swap", False, "none", "fewer apps", "add a file")


def test_all_is_here() -> None:
    assert verdict([HERE]) == ["", "Everything that Berth uses is here."]


def test_a_fresh_machine_lacks_only_what_bin_up_installs() -> None:
    assert verdict([HERE, PACKAGE, GAIN]) == [
        "",
        "Berth runs here.",
        "bin/up will install: tini.",
        "Without the gains of: swap.",
    ]
    assert not PACKAGE.in_the_way


def test_what_nothing_works_without_is_said_alone() -> None:
    assert verdict([HERE, KERNEL, PACKAGE, GAIN]) == ["", "Berth cannot run without: overlayfs."]
    assert KERNEL.in_the_way and not HERE.in_the_way


def test_what_is_missing_has_its_cost_and_remedy_below() -> None:
    assert table([HERE, GAIN], 80) == [
        "  ✓ cgroups  v2",
        "  ✗ swap     none",
        "             fewer apps",
        "             add a file",
    ]
