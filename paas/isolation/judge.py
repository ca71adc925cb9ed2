"""The container contract of the design, promise by promise, against one container as it is: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from paas.isolation import capabilities, judge_mounts
from paas.isolation.facts import NAMESPACES, Here, Process, Seen, Wanted
from paas.isolation.rows import Found, Promise, Row, rows, verdict
from paas.linux import oom_order
from paas.runtime.bundle import NOFILE, ROOT_CAPABILITIES
from paas.specs import ID_RANGE_SIZE, Effective

ROOT_MASK = capabilities.mask(ROOT_CAPABILITIES)
NETWORK_INTERFACES = ("eth0", "lo")


@dataclass(frozen=True, slots=True)
class Case:
    """One container to judge."""

    seen: Seen
    wanted: Wanted
    here: Here

    @property
    def ids(self) -> range:
        return range(self.wanted.uid_base, self.wanted.uid_base + ID_RANGE_SIZE)

    def each(self) -> Iterator[tuple[str, Process]]:
        """Processes by what a person can look them up by."""
        yield from ((f"process {process.pid}", process) for process in self.seen.processes)

    def count(self) -> str:
        number = len(self.seen.processes)
        return f"{number} process{'' if number == 1 else 'es'}"


def judge(seen: Seen, wanted: Wanted, here: Here) -> tuple[Row, ...]:
    return rows(CONTRACT, Case(seen, wanted, here))


# --- who it is
def _user_ids(case: Case) -> Found:
    own = f"0 {case.wanted.uid_base} {ID_RANGE_SIZE}"
    problems = [
        f"{name} is {' '.join(text.split())}"
        for name, text in (("uid_map", case.seen.uid_map), ("gid_map", case.seen.gid_map))
        if " ".join(text.split()) != own
    ]
    for name, process in case.each():
        strange = sorted(id for id in process.status.uids | process.status.gids if id not in case.ids)
        problems += [f"{name} has the host's id {number}" for number in strange]
    return verdict(problems, f"0 to {ID_RANGE_SIZE - 1:,} are {case.ids[0]:,} to {case.ids[-1]:,}")


def _no_new_privileges(case: Case) -> Found:
    problems = [f"{name} may gain some" for name, it in case.each() if not it.status.no_new_privileges]
    return verdict(problems, f"set for {case.count()}")


def _seccomp(case: Case) -> Found:
    problems = [f"{name} is not filtered" for name, it in case.each() if it.status.seccomp != 2]
    return verdict(problems, f"a filter on {case.count()}")


def _capabilities(case: Case) -> Found:
    # What a process that was root keeps in its bounding set gives it nothing: it cannot gain any.
    is_root = case.seen.processes[0].status.uid == case.wanted.uid_base
    most, problems, held = ROOT_MASK if is_root else 0, [], 0
    for name, process in case.each():
        for kind, mask in process.status.capabilities.items():
            held |= mask
            if mask & ~most:
                problems.append(f"{name} has {', '.join(capabilities.named(mask & ~most)[:3])} ({kind})")
    return verdict(problems, ", ".join(capabilities.named(held)) or "none")


# --- what it sees
def _namespaces(case: Case) -> Found:
    return verdict(_namespace_problems(case), ", ".join(NAMESPACES))


def _namespace_problems(case: Case) -> Iterator[str]:
    for name, process in case.each():
        for kind in NAMESPACES:
            own = process.namespaces[kind]
            if own == case.here.namespaces[kind]:
                yield f"{name} is in the host's {kind} namespace"
            for other in _strangers(kind, case.here.users.get(own, {}), case.wanted):
                yield f"{name} shares its {kind} namespace with container {other}"
    if case.seen.maker != case.wanted.uid_base:
        yield f"what the kernel counts by user goes to the host's user {case.seen.maker}, not to the tenant"
    user = case.seen.processes[0].namespaces["user"]
    for kind, owner in case.seen.owners.items():
        if owner != user:
            yield f"its {kind} namespace belongs to another user namespace"


def _strangers(kind: str, users: Mapping[str, str], wanted: Wanted) -> list[str]:
    """Who must not be in it. That of users is the tenant's: the kernel counts some things by its maker."""
    if kind == "user":
        return sorted(container for container, tenant in users.items() if tenant != wanted.tenant_id)
    return sorted(users.keys() - {wanted.container_id})


def _root(case: Case) -> Found:
    problems = judge_mounts.root_problems(case.seen, case.wanted, case.here)
    return verdict(problems, "overlay, written to the tenant's own disk")


def _host_paths(case: Case) -> Found:
    problems = judge_mounts.host_path_problems(case.seen, case.wanted, case.here)
    return verdict(problems, f"none in {len(case.seen.mounts)} mounts")


def _kernel_files(case: Case) -> Found:
    masked, read_only = len(case.here.masked), len(case.here.read_only)
    problems = judge_mounts.kernel_file_problems(case.seen, case.here)
    return verdict(problems, f"{masked} hidden, {read_only} and /sys read-only")


def _init(case: Case) -> Found:
    problems = [] if case.seen.program == case.here.init else ["process 1 is another program"]
    return verdict(problems, "process 1 is Berth's init")


def _descriptors(case: Case) -> Found:
    problems = []
    for number, target in sorted(case.seen.files.items()):
        expected = target == "/dev/null" if number == 0 else number < 3 and target.startswith("pipe:")
        if not expected:
            problems.append(f"descriptor {number} is {target}")
    return verdict(problems, "none but its input, which is empty, and its log")


# --- what it may use
def _cgroup(case: Case) -> Found:
    problems = [
        f"{name} is in {path}" for name, it in case.each() for path in it.cgroups if path != case.wanted.cgroup
    ]
    return verdict(problems, case.wanted.cgroup)


def _limits(case: Case) -> Found:
    held, asked = case.seen.held, case.wanted.asked
    return verdict(limit_problems(held, asked), shown(held))


def limit_problems(held: Effective, asked: Effective) -> Iterator[str]:
    """What is not limited, or to more than was asked for. Less is fine: a quota may be below it."""
    pairs = (
        ("memory", held.memory_bytes, asked.memory_bytes),
        ("cpu", held.cpu_millis, asked.cpu_millis),
        ("processes", held.pids, asked.pids),
    )
    for name, has, wanted in pairs:
        if has is None:
            yield f"no limit on {name}"
        elif wanted is not None and has > wanted:
            yield f"{name} up to {has:,}, where {wanted:,} was asked for"


def shown(held: Effective) -> str:
    memory, cpu, pids = held.memory_bytes or 0, held.cpu_millis or 0, held.pids or 0
    return f"{memory >> 20:,} MiB of memory, {cpu / 1000:g} cores, {pids:,} processes"


def _swap(case: Case) -> Found:
    return judge_swap(case.seen.held, case.wanted.asked, case.here.limits_swap)


def judge_swap(held: Effective, asked: Effective, can_be_limited: bool) -> Found:
    if not can_be_limited:
        return Found("n/a", "this kernel sets no limit on swap: boot with swapaccount=1")
    has, wanted = held.swap_bytes, asked.swap_bytes
    if has is None:
        return Found("fail", "no limit on swap")
    # v1 has a limit on both together: less memory than was asked for leaves more of it to swap.
    spare = max(0, (asked.memory_bytes or 0) - (held.memory_bytes or 0))
    if wanted is not None and has > wanted + spare:
        return Found("fail", f"swap up to {has:,}, where {wanted:,} was asked for")
    return Found("pass", f"{has >> 20:,} MiB")


def _traffic(case: Case) -> Found:
    return judge_traffic(case.seen.held, case.wanted.asked, case.here.limits_disks)


def judge_traffic(held: Effective, asked: Effective, can_be_limited: bool) -> Found:
    if not can_be_limited:
        return Found("n/a", "this kernel limits no disk: see bin/up --check")
    pairs = (
        ("bytes", held.io_bytes, asked.io_bytes),
        ("operations", held.io_operations, asked.io_operations),
    )
    problems = [
        f"{'no limit on' if has is None else f'up to {has:,}'} {name} a second, where {wanted:,} was asked for"
        for name, has, wanted in pairs
        if wanted and (has is None or has > wanted)
    ]
    said = " and ".join(f"{has:,} {name} a second" for name, has, _ in pairs if has)
    return verdict(problems, said or "none was asked for")


def _process_limits(case: Case) -> Found:
    limits, problems = case.seen.hard_limits, []
    files, core = limits.get("Max open files", "unlimited"), limits.get("Max core file size", "unlimited")
    if not files.isdigit() or int(files) > NOFILE:
        problems.append(f"open files: {files}")
    if core != "0":
        problems.append(f"core dumps of {core} bytes")
    if case.seen.oom_score_adj < (oom_order.ASLEEP if case.seen.frozen else oom_order.APP):
        problems.append(f"goes as late as others when memory runs out ({case.seen.oom_score_adj})")
    return verdict(problems, f"{files} open files, no core dumps, goes before the control plane")


# --- whom it reaches
def _network(case: Case) -> Found:
    wire = case.seen.wire
    if wire.interfaces == ("lo",):
        return Found("pass", "none but its own loopback")
    problems = []
    if wire.interfaces != NETWORK_INTERFACES:
        problems.append(f"interfaces {', '.join(wire.interfaces) or 'none'}")
    if wire.addresses != (case.wanted.address,):
        problems.append(f"addresses {', '.join(map(str, wire.addresses)) or 'none'}, not {case.wanted.address}")
    problems += [f"an IPv6 address: {address}" for address in wire.ipv6]
    return verdict(problems, f"eth0 with {case.wanted.address} and nothing else")


def _network_rules(case: Case) -> Found:
    if case.seen.wire.interfaces == ("lo",):
        return Found("pass", "it has no network")
    problems = [case.here.rules] if case.here.rules else []
    by_address = case.seen.tenant_by_address
    if by_address is None:
        problems.append(f"{case.wanted.address} is not bound to its interface")
    elif by_address != case.wanted.uid_base:
        problems.append(f"{case.wanted.address} counts as the tenant whose user ids begin at {by_address}")
    return verdict(problems, "as Berth makes them; its address is bound to its interface and its tenant")


def _log_process(case: Case) -> Found:
    if case.seen.conmon is None:
        return Found("fail", "there is none: nothing keeps its log and its exit")
    problems = [f"it is in {path}" for path in case.seen.conmon if path != case.wanted.conmon]
    return verdict(problems, case.wanted.conmon)


CONTRACT: tuple[Promise[Case], ...] = (
    Promise(
        "user-ids", "User ids", "The tenant's own range of ids; the host's root is not among them.", _user_ids
    ),
    Promise(
        "no-new-privileges",
        "No new privileges",
        "Setuid programs and file capabilities give nothing.",
        _no_new_privileges,
    ),
    Promise("seccomp", "System calls", "Filtered: those that nobody needs are refused.", _seccomp),
    Promise(
        "capabilities",
        "Capabilities",
        "None; as root inside at most those that changing files' owners and users takes.",
        _capabilities,
    ),
    Promise(
        "namespaces",
        "Namespaces",
        "Of users its tenant's, of every other kind its own; none of them the host's.",
        _namespaces,
    ),
    Promise(
        "root",
        "Root file system",
        "Shared layers that nobody can write to, below a folder on the tenant's own disk.",
        _root,
    ),
    Promise("host-paths", "Host paths", "No file of the host's but what Berth made for it.", _host_paths),
    Promise(
        "kernel-files",
        "Kernel files",
        "What tells of the host is hidden, what steers it is read-only.",
        _kernel_files,
    ),
    Promise("init", "First process", "A tiny init of Berth's, which clears away what ended.", _init),
    Promise(
        "descriptors",
        "Open files",
        "None inherited from the control plane.",
        _descriptors,
    ),
    Promise("cgroup", "Control group", "Below its tenant's, with every process of it.", _cgroup),
    Promise("limits", "Limits", "Memory, cpu and processes limited, to what was asked for.", _limits),
    Promise("swap", "Swap", "Limited, to what was asked for.", _swap),
    Promise(
        "traffic",
        "Disk traffic",
        "What is read and written limited, to what was asked for.",
        _traffic,
    ),
    Promise(
        "process-limits",
        "Process limits",
        "Open files limited, no core dumps, first to go when the host's memory runs out.",
        _process_limits,
    ),
    Promise("network", "Network", "One interface with the one address that was given to it.", _network),
    Promise(
        "network-rules",
        "Network rules",
        "Nothing to other tenants or the host; packets only from its own address.",
        _network_rules,
    ),
    Promise(
        "log-process", "Log process", "In a slice of the tenant's own, outside the container.", _log_process
    ),
)
