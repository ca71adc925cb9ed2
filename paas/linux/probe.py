"""What this host offers, tried rather than concluded from a version: `bin/up --check` prints it.

Runs before anything is installed, as any user: standard library only, and nothing is left behind but the
kernel's modules that were tried.
"""

from __future__ import annotations

import resource
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from paas.errors import BerthError
from paas.linux import disks, trials
from paas.linux.cgroup_use import delays_are_counted
from paas.linux.cgroups import Tree, host_tree, io_throttling, swap_accounting, unified_beside_v1
from paas.linux.command import CLEAN_ENV, run

GIB = 1024**3
DISK_LEAST = 5 * GIB
NOFILE_LEAST = 65_536
CAP_SYS_RESOURCE = 24
PRESSURE = Path("/proc/pressure/io")
PATH = CLEAN_ENV["PATH"]


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that a host has or lacks. `found` is what was seen; the two texts say what a lack means.

    `mended` means that bin/up sees to it by itself, so that a lack keeps nobody from anything.
    """

    name: str
    present: bool
    found: str
    cost: str
    remedy: str
    required: bool = False
    mended: bool = False

    @property
    def in_the_way(self) -> bool:
        return self.required and not self.present and not self.mended


def survey(state: Path) -> list[Capability]:
    """Everything, most basic first. `state` is where Berth keeps or will keep its files."""
    return [
        *cgroups(host_tree()),
        *kernel(trials.run_all(_nearest(state))),
        *memory(host_tree()),
        *programs(),
        disk(_nearest(state)),
        disk_limits(host_tree(), _nearest(state)),
        *disk_shares(host_tree(), _nearest(state)),
        *limits(),
    ]


def cgroups(tree: Tree) -> list[Capability]:
    beside = unified_beside_v1() if tree.version == 1 else None
    found = f"v{tree.version}"
    if beside is not None:
        found += f", with v2 at {beside}, which Berth unmounts in its own mount namespace only"
    return [
        Capability(
            "cgroups",
            present=bool(tree.roots),
            found=found if tree.roots else "not mounted",
            cost="No limits and no accounting: no container can run.",
            remedy="Boot with systemd, or mount cgroup2 at /sys/fs/cgroup.",
            required=True,
        ),
        *(_controller(tree, name, cost, required) for name, cost, required in _controllers(tree.version)),
        *_version_two(tree),
        _delays(tree),
    ]


def _version_two(tree: Tree) -> list[Capability]:
    """On v1, what it cannot do."""
    if tree.version == 2:
        return []
    return [
        Capability(
            "cgroup v2",
            present=False,
            found="v1 is in use",
            cost="While a tenant has a quota of disk traffic, its containers have no lower limits beneath it; "
            "nobody tells which app waits for memory; each container takes more of the kernel's.",
            remedy="Boot with systemd.unified_cgroup_hierarchy=1, as Debian and Ubuntu do by themselves.",
        )
    ]


def _delays(tree: Tree) -> Capability:
    psi = tree.version == 2 and PRESSURE.exists()
    counted = delays_are_counted()
    return Capability(
        "waits for disks",
        psi or counted,
        "by pressure" if psi else "by thread" if counted else "not counted for each app",
        "Nobody tells which app waits for the disk.",
        "sysctl kernel.task_delayacct=1, and a file in /etc/sysctl.d for each boot"
        + ("." if tree.version == 1 else "; or boot with psi=1."),
    )


def _controllers(version: int) -> list[tuple[str, str, bool]]:
    """(name, what its lack costs, whether nothing works without)."""
    rows = [
        ("memory", "No memory limits: one app can take the whole machine.", True),
        ("cpu", "No cpu shares and limits.", True),
        ("pids", "No limit on processes: a fork bomb takes the whole machine.", True),
        ("io" if version == 2 else "blkio", "No shares of disks, and no limits on their use.", False),
        ("cpuset", "Containers cannot be kept to some processors.", False),
    ]
    if version == 1:
        rows += [("cpuacct", "No figures of cpu use.", True), ("freezer", "Idle apps cannot sleep.", False)]
    return rows


def _controller(tree: Tree, name: str, cost: str, required: bool) -> Capability:
    present = name in tree.controllers
    return Capability(
        f"controller {name}",
        present,
        str(tree.root(name)) if present else "absent",
        cost,
        f"Boot with cgroup_enable={name}, or with a kernel that has it.",
        required,
    )


@dataclass(frozen=True, slots=True)
class _Need:
    name: str
    cost: str
    remedy: str
    required: bool = True


KERNEL = {
    "userns": _Need(
        "user namespaces",
        "Tenants' root would be the host's root: no container can run.",
        "sysctl user.max_user_namespaces=65536, and no kernel.unprivileged_userns_clone=0 for root.",
    ),
    "idmap": _Need(
        "id-mapped mounts",
        "Layers could not be shared between tenants: no container can run.",
        "Linux 5.12 or later, and a state folder on ext4, xfs or btrfs (BERTH_STATE).",
    ),
    "overlay": _Need(
        "overlayfs on id-mapped mounts",
        "No root file systems: no container can run.",
        "Linux 5.19 or later with CONFIG_OVERLAY_FS (modprobe overlay).",
    ),
    "loop": _Need(
        "loop devices with ext4",
        "Tenants can have no disks of their own: no container can run.",
        "modprobe loop; apt-get install e2fsprogs mount (bin/up does).",
    ),
    "seccomp": _Need(
        "seccomp filters",
        "System calls cannot be refused: no container can run.",
        "A kernel with CONFIG_SECCOMP_FILTER; every Debian kernel has it.",
    ),
    "nftables": _Need(
        "nftables",
        "Containers could not be kept apart on the network: none can run.",
        "apt-get install nftables (bin/up does); modprobe nf_tables.",
    ),
    "nflog": _Need(
        "NFLOG",
        "Packets cannot wake sleeping apps.",
        "apt-get install nftables (bin/up does); modprobe nfnetlink_log nft_log.",
        required=False,
    ),
}


def kernel(outcomes: dict[str, str]) -> list[Capability]:
    """From what was tried: name -> "", or why it failed."""
    return [
        Capability(
            need.name,
            present=not outcomes[key],
            found=outcomes[key] or "tried, works",
            cost=need.cost,
            remedy=need.remedy,
            required=need.required,
        )
        for key, need in KERNEL.items()
    ]


def memory(tree: Tree) -> list[Capability]:
    size = sum(int(line.split()[2]) for line in Path("/proc/swaps").read_text().splitlines()[1:]) * 1024
    accounted = "memory" in tree.controllers and swap_accounting(tree)
    return [
        Capability(
            "swap",
            size > 0,
            f"{size / GIB:.1f} GiB" if size else "none",
            "Idle apps keep their memory: far fewer fit on the machine.",
            "bin/up --swap auto makes a swap file, --swap zram compressed memory; --swap 8G says its size.",
        ),
        Capability(
            "swap accounting",
            accounted,
            "limits on swap can be set" if accounted else "no limits on swap",
            "An app can use more swap than its limit says.",
            "Boot with swapaccount=1.",
        ),
    ]


# (any of these programs, what the lack of all costs, whether nothing works without)
PROGRAMS = (
    (("crun",), "No container can run.", True),
    (("conmon",), "No container can run: nothing would keep its log and its exit.", True),
    (("tini-static", "catatonit"), "No container can run: nothing would reap its processes.", True),
    (("mmdebstrap",), "Base images cannot be made.", True),
    (("nft",), "Containers cannot be kept apart on the network.", True),
    (("runc",), "Containers cannot be checkpointed to disk.", False),
    (("criu",), "Containers cannot be checkpointed to disk: asleep they stay in swap.", False),
)
PACKAGES = {"tini-static": "tini", "nft": "nftables"}


def programs() -> list[Capability]:
    return [_program(names, cost, required) for names, cost, required in PROGRAMS]


def _program(names: tuple[str, ...], cost: str, required: bool) -> Capability:
    places = [place for name in names if (place := shutil.which(name, path=PATH))]
    packages = " or ".join(PACKAGES.get(name, name) for name in names)
    remedy = f"bin/up installs {packages}." if required else f"apt-get install {packages}, where Debian has it."
    found = _version(places[0]) if places else "not installed"
    return Capability(" or ".join(names), bool(places), found, cost, remedy, required, mended=required)


def _version(program: str) -> str:
    """Its own first line about itself, or at least that it is there."""
    with TemporaryDirectory() as scratch:  # crun makes its folder even for this
        try:
            done = run([program, "--version"], env={"XDG_RUNTIME_DIR": scratch}, check=False, timeout=10)
        except BerthError:
            return program
    lines = [line for line in (done.stdout or done.stderr).splitlines() if any(c.isdigit() for c in line)]
    return lines[0].strip() if done.status == 0 and lines else program


def disk(folder: Path) -> Capability:
    free = shutil.disk_usage(folder).free
    return Capability(
        "disk space",
        free >= DISK_LEAST,
        f"{free / GIB:.0f} GiB free at {folder}",
        "Builds fail when the disk is full.",
        "Free some, or put the state folder elsewhere (BERTH_STATE).",
    )


def disk_limits(tree: Tree, folder: Path) -> Capability:
    """Whether what each container does on the disk of `folder` can be limited, and what of it."""
    disk, throttling = disks.holding(folder), io_throttling(tree)
    if disk is None:
        found = f"no disk is known to hold {folder}"
    elif not throttling:
        found = f"not by this kernel on {disk.name}"
    else:
        # Only v2 knows whose a page is that is written back later.
        found = disk.name if tree.version == 2 else f"{disk.name}; v1 leaves out what is written back later"
    return Capability(
        "disk limits",
        disk is not None and throttling,
        found,
        "A container reads and writes as fast as the disk does, at its neighbours' cost.",
        "Put the state folder on ext4 or xfs on a disk (BERTH_STATE); boot a kernel with "
        "CONFIG_BLK_DEV_THROTTLING, as Debian's are.",
    )


def disk_shares(tree: Tree, folder: Path) -> list[Capability]:
    """Whether the disks below `folder` are shared by cgroup; nothing where none is known (see disk_limits)."""
    disk = disks.holding(folder)
    if disk is None:
        return []
    below = disks.below(disk)
    unshared = [disk.name for disk in below if not disks.is_shared(disk, tree)]
    return [
        Capability(
            "disk shares",
            not unshared,
            f"not on {', '.join(unshared)}" if unshared else ", ".join(disk.name for disk in below),
            "A tenant that keeps the disk busy slows its neighbours down.",
            f"modprobe bfq; echo bfq > /sys/block/{(unshared or ['DISK'])[0]}/queue/scheduler; "
            "a udev rule does it at each boot.",
        )
    ]


def limits() -> list[Capability]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    unlimited = hard == resource.RLIM_INFINITY
    return [
        Capability(
            "open files",
            unlimited or hard >= NOFILE_LEAST,
            "no limit" if unlimited else f"hard limit {hard:,}",
            f"Containers get that limit instead of {NOFILE_LEAST:,}.",
            "Raise it where Berth is started from: LimitNOFILE= in a unit, /etc/security/limits.conf.",
        ),
        Capability(
            "CAP_SYS_RESOURCE",
            present := has_capability(Path("/proc/self/status").read_text(), CAP_SYS_RESOURCE),
            "held" if present else "not held",
            "Tenants' disks grow only when mounted anew; conmon is not spared when memory runs out.",
            "Start Berth with the capability: as root outside a container.",
        ),
    ]


def has_capability(status: str, number: int) -> bool:
    """Whether a /proc/PID/status shows capability `number` (capability.h) as effective."""
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return bool(masks) and bool(int(masks[0], 16) >> number & 1)


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())
