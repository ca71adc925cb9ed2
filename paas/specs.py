"""What the worker hands to the engine, and what the engine hands back: frozen, and free of rows.

Units: memory and disk in bytes, cpu in thousandths of a core (`cpu_millis`), times in seconds.
Ids are made by the server: lower-case hexadecimal, twelve digits, so that they fit in an
interface name (15 bytes), a cgroup name and a path without quoting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal, TypeAlias

MIB = 1024 * 1024
ID_RANGE_SIZE = 65_536
BYTES_PER_INODE = 16_384  # of a tenant's disk, whatever mke2fs.conf says: 65,536 files for each GiB
DEFAULT_PORT = 8000
MOST_OF_A_TYPE = 50  # containers of one process type


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cgroup holds. `swap_bytes` is swap alone, on top of memory.

    `io_bytes` and `io_operations` are of the disk that holds the tenants' files, a second, read and as many
    again written; 0 is no limit.
    """

    memory_bytes: int = 512 * MIB
    swap_bytes: int = 512 * MIB
    cpu_millis: int = 1000
    weight: int = 100  # its share of processors and disks; cgroup v2's scale, 1 to 10,000
    pids: int = 256
    io_bytes: int = 0
    io_operations: int = 0


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """A tenant as the kernel knows it: user ids `[uid_base, uid_base + 65536)`, a slice, a disk.

    `uid_base` is its name in the network's rules too: no other tenant ever has it, and it fits a packet's mark.
    `container` is what each of its containers may have of the disk, where the quota has no limit. `since` is
    when the quota was set (time.time()): of two specs the later one holds.
    """

    id: str
    uid_base: int
    quota: Limits
    disk_bytes: int
    container: Limits = Limits()
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Effective:
    """What the kernel holds a cgroup to, as read back from its files; None where it holds it to nothing.

    The rest is of a tenant as a whole. What begins with `disk` and `inodes` is of its disk, as statvfs(2) tells
    it: what there is for files, and what is taken; `disk_whole` is the file system with its own tables, which a
    quota asks for. `swap_used` lies on swap, its sleepers' memory above all; None where that is not counted.
    """

    memory_bytes: int | None = None
    swap_bytes: int | None = None
    cpu_millis: int | None = None
    pids: int | None = None
    io_bytes: int | None = None
    io_operations: int | None = None
    disk_whole: int | None = None
    disk_bytes: int | None = None
    disk_used: int | None = None
    inodes: int | None = None
    inodes_used: int | None = None
    swap_used: int | None = None


@dataclass(frozen=True, slots=True)
class BindMount:
    """A host file or folder shown read-only in a container. Made by the engine, never from a row.

    `writable` is for folders on the tenant's own disk only (a build's cache).
    """

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """An empty file system in memory, which counts as the container's. Without a size, half of that at most."""

    target: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LayersMount:
    """`path` of a root file system of these layers (bottom first), links in it resolved inside that root.

    What is written to one that is `writable` goes with the container.
    """

    target: str
    layers: tuple[str, ...]
    path: str = "/"
    writable: bool = False


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A folder on the tenant's own disk that outlives containers, by its server-made id; writable."""

    volume: str
    target: str


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file whose content is kept in memory only, shown read-only; ids as inside the container."""

    target: str
    content: bytes = field(repr=False)
    mode: int = 0o444
    uid: int = 0
    gid: int = 0


Mount: TypeAlias = BindMount | TmpfsMount | LayersMount | VolumeMount | InlineFile


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container, for an app's process, a build step, a one-off command or a shell."""

    id: str
    tenant: TenantSpec
    app_id: str
    layers: tuple[str, ...]  # DiffIDs ("sha256:…"), bottom first
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    address: IPv4Address
    limits: Limits = Limits()
    workdir: str = "/"
    user: str = "1000:1000"  # as in an image config: name or uid, with an optional group
    hostname: str = "app"
    root_capable: bool = False  # an image that starts as root gets the least capabilities that need it
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 10.0
    mounts: tuple[Mount, ...] = ()
    network: bool = True  # else it has nothing but its own loopback
    resolver: str = ""  # the text of /etc/resolv.conf
    hosts: tuple[tuple[str, str], ...] = ()  # (address, name) for /etc/hosts
    goes_first: bool = False  # when the machine runs out of memory: it can be done again
    may_spend_reserve: bool = False  # of a full disk, while nothing else of its tenant runs: it may free some


@dataclass(frozen=True, slots=True)
class Destination:
    """What an egress list names: every port of a network, or one."""

    network: IPv4Network
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """What a name stands for: TCP to port 80 or `port` of `address` goes to `port` of one of `targets`."""

    address: IPv4Address
    port: int
    targets: tuple[IPv4Address, ...] = ()


Egress: TypeAlias = Literal["open", "list", "none"]


@dataclass(frozen=True, slots=True)
class Fence:
    """What the network lets one tenant do. `tenant` is its uid_base; `rate` is what all of its containers
    together may send out of the machine, in bytes a second, 0 for no limit."""

    tenant: int
    egress: Egress = "open"
    allowed: tuple[Destination, ...] = ()  # of "list"
    rate: int = 0
    services: tuple[Service, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What the kernel says that it holds of a fence; None where it knows no such tenant."""

    egress: Egress | None
    rate: int


REFUSALS = ("closed", "policy", "rate", "connections")  # why the network dropped or refused a packet


@dataclass(frozen=True, slots=True)
class Traffic:
    """A tenant's packets and bytes since its counters began: out of its containers, into them, and refused."""

    sent: tuple[int, int] = (0, 0)  # (packets, bytes)
    received: tuple[int, int] = (0, 0)
    refused: tuple[tuple[str, int], ...] = ()  # (one of REFUSALS, packets)


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container as observed on the host."""

    id: str
    status: Literal["absent", "creating", "created", "running", "stopped"]
    pid: int | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What a cgroup uses now, in bytes, and counters since it was made.

    `working_set` is all that is charged to it but what can go at once. `anonymous` is its own, nobody else's.
    `file` is page cache that it was the first to read: of layers it is shared with others, who are charged
    nothing. `mapped` is of `file` what a process has mapped. `stalled_usec`: how long some of its tasks waited
    for a processor, for memory, for a disk; None where the kernel does not tell. cgroup v1 tells only of the
    processor, and of all threads that live, each for itself. `io_bytes` is None where
    disks know it only as a part of its tenant (see paas.runtime.limits), or not at all. `oom_kills`: processes
    of it that were killed for want of memory, be it by its limit, its tenant's, or in the whole machine.
    """

    working_set: int
    anonymous: int
    file: int
    mapped: int
    shared_memory: int
    swap: int
    pids: int
    cpu_usec: int
    throttled_usec: int
    io_bytes: int | None
    stalled_usec: tuple[int | None, int | None, int | None]
    oom_kills: int = 0


@dataclass(frozen=True, slots=True)
class Weight:
    """What processes have in memory, in bytes: `unshared` is one process's alone, `shared` its part of what
    others have too. Of both, `files_part` is page cache. `files_used` is the page cache that they use in full,
    whoever else does, and whoever was first to read it."""

    unshared: int
    shared: int
    files_used: int
    files_part: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cgroup has used: memory now, cpu since its start (microseconds), processes now."""

    memory_bytes: int
    cpu_usec: int
    pids: int
    oom_kills: int = 0


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """An image by its parts. `digest` is that of its OCI manifest."""

    digest: str
    layers: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = "/"
    user: str = ""
    exposed_port: int | None = None
    stop_signal: str = "SIGTERM"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a web process shows that it is ready: a command that succeeds inside its container, an HTTP path that
    answers 2xx or 3xx, or an open port. It has `timeout` seconds for that, and one attempt of a command
    `attempt_timeout`; there are at most `interval` seconds between two attempts.
    """

    path: str | None = None
    timeout: float = 60.0
    interval: float = 0.2
    command: tuple[str, ...] = ()
    attempt_timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process type, from berth.toml, the Procfile or the image. `args` are executed, never a host shell.

    A web process that is `private` is reached by name only. `port` takes the place of the image's.
    `sleep_after` are idle seconds, 0 for never; None leaves it to the tenant and the machine.
    """

    name: str
    args: tuple[str, ...]
    count: int = 1
    memory_bytes: int = 256 * MIB
    cpu_millis: int = 1000
    private: bool = False
    port: int | None = None
    sleep_after: int | None = None


@dataclass(frozen=True, slots=True)
class BuiltStage:
    """A stage as it was built. `base` is the image that it stands on, with its `digest`; or "scratch" or
    another stage, without. `steps` are all its instructions in order, those too that made no layer."""

    name: str
    base: str
    digest: str = ""
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an image was made, for its provenance. `stages` in the order in which they were built. `args` and
    `target` are what the source's own files, berth.toml or heroku.yml, give a Dockerfile."""

    stages: tuple[BuiltStage, ...] = ()
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build made. `processes` maps onto the release's formation."""

    image: ImageSpec
    processes: tuple[ProcessSpec, ...]
    health: HealthCheck
    env: tuple[tuple[str, str], ...] = ()  # the app's own defaults from berth.toml; config vars win
    builder: str = ""  # "python", "static" or "dockerfile"
    builder_version: str = ""  # of Berth
    base: str = ""  # digest of the image that this one stands on; "" for none, or where nothing was built
    steps_total: int = 0
    steps_cached: int = 0
    files_read: tuple[str, ...] = ()
    release_command: tuple[str, ...] = ()
    volumes: tuple[tuple[str, str], ...] = ()  # (name, path in the container)
    bases: tuple[tuple[str, str], ...] = ()  # (name, digest) of all images that it is made from
    # Whether these, all this machine's own, and the source alone decided: no registry, no step with a secret.
    is_repeatable: bool = False
    unchanged_since: int | None = None  # where nothing was built: the version of the release that it repeats
    recipe: Recipe | None = None  # None where nothing was ever built


@dataclass(frozen=True, slots=True)
class Route:
    """Requests for `hosts` go to any of `upstreams` ("10.0.0.1:8000"); none means "not running" page."""

    tenant_id: str
    app_id: str
    hosts: tuple[str, ...]
    upstreams: tuple[str, ...] = field(default=())
