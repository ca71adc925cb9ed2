"""`bin/up --check`: a row for each thing, what a missing one costs and its remedy, and whether to go on."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

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


# As root of a namespace that may make no others: no cgroups, no swap, no disk, none of the programs.
BARE_HOST = """
for file in /usr/bin/crun /usr/bin/runc /usr/bin/conmon /usr/sbin/criu /usr/sbin/nft /proc/swaps; do
    [ ! -e $file ] || mount --bind /dev/null $file || exit 9
done
umount --recursive /sys/fs/cgroup && mount -t tmpfs -o size=1M none /mnt || exit 9
exec unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec bin/up --check'
"""
# Name -> what its lack costs, and the remedy.
LACKS = {
    "cgroups": "No limits and no accounting: no container can run. "
    "Boot with systemd, or mount cgroup2 at /sys/fs/cgroup.",
    "controller memory": "No memory limits: one app can take the whole machine. "
    "Boot with cgroup_enable=memory, or with a kernel that has it.",
    "controller cpu": "No cpu shares and limits. Boot with cgroup_enable=cpu, or with a kernel that has it.",
    "controller pids": "No limit on processes: a fork bomb takes the whole machine. "
    "Boot with cgroup_enable=pids, or with a kernel that has it.",
    "user namespaces": "Tenants' root would be the host's root: no container can run. "
    "sysctl user.max_user_namespaces=65536, and no kernel.unprivileged_userns_clone=0 for root.",
    "id-mapped mounts": "Layers could not be shared between tenants: no container can run. "
    "Linux 5.12 or later, and a state folder on ext4, xfs or btrfs (BERTH_STATE).",
    "overlayfs on id-mapped mounts": "No root file systems: no container can run. "
    "Linux 5.19 or later with CONFIG_OVERLAY_FS (modprobe overlay).",
    "nftables": "Containers could not be kept apart on the network: none can run. "
    "apt-get install nftables (bin/up does); modprobe nf_tables.",
    "NFLOG": "Packets cannot wake sleeping apps. "
    "apt-get install nftables (bin/up does); modprobe nfnetlink_log nft_log.",
    "swap": "Idle apps keep their memory: far fewer fit on the machine. "
    "bin/up --swap auto makes a swap file, --swap zram compressed memory; --swap 8G says its size.",
    "crun": "No container can run. bin/up installs crun.",
    "conmon": "No container can run: nothing would keep its log and its exit. bin/up installs conmon.",
    "runc": "Containers cannot be checkpointed to disk. apt-get install runc, where Debian has it.",
    "criu": "Containers cannot be checkpointed to disk: asleep they stay in swap. "
    "apt-get install criu, where Debian has it.",
    "disk space": "Builds fail when the disk is full. "
    "Free some, or put the state folder elsewhere (BERTH_STATE).",
}


@pytest.mark.kernel
def test_a_host_that_lacks_all_is_told_the_cost_and_the_remedy_of_each() -> None:
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", BARE_HOST],
        cwd=Path(__file__).parents[2], env={**os.environ, "BERTH_STATE": "/mnt"},
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    rows, _, rest = done.stdout.partition("\n\n")
    found = {}
    for row in re.split(r"\n(?=  \S )", rows):
        line, *below = row.splitlines()
        if (match := re.fullmatch(r"  ✗ (.+?)  +(\S.*)", line)) is not None:
            found[match[1]] = " ".join(text.strip() for text in below)
    assert {name: found.get(name) for name in LACKS} == LACKS
    (verdict_line, *_) = rest.splitlines()
    assert verdict_line.startswith("Berth cannot run without: cgroups, controller memory, controller cpu, ")
    assert "crun" not in verdict_line  # which bin/up installs
