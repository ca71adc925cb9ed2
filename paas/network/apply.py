"""Connecting containers to the network: what plan and addresses say, made true in the kernel.

The kernel is the record: a link's alias holds its tenant and address. With each tenant's fence, which is kept
in the run folder, the whole ruleset can be made again from the links after a `nft flush ruleset` or an upgrade,
with every container connected. A tenant whose fence is not known reaches nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from paas.errors import HostProblem
from paas.network import addresses, awaited, beside, fence, links, nfnetlink, nft, plan, rules
from paas.network.asleep import Asleep
from paas.network.fences import Fences
from paas.network.links import Pair, problems_with
from paas.network.nfnetlink import Element
from paas.network.plan import Endpoint, Policy
from paas.specs import Fence, Held, Traffic

SYSCTLS = Path("/proc/sys/net/ipv4")
WANTED = {"ip_forward": "1"}


@dataclass(frozen=True, slots=True)
class Network:
    """The container network of one installation.

    `prefix` (two letters) starts the name of each interface and of the nftables table; `state_file` is in
    the run folder and remembers the host's settings from before. A tenant is the first of its user ids. Any
    number of processes may use it at once.
    """

    prefix: str
    container_prefix: IPv4Network
    egress_allow: Sequence[IPv4Network]
    resolvers: Sequence[IPv4Address]
    state_file: Path
    closed: Sequence[IPv4Network] = ()  # beside those that are private by their numbers

    @property
    def policy(self) -> Policy:
        return Policy(
            self.container_prefix, tuple(self.egress_allow), tuple(self.resolvers), tuple(self.closed)
        )

    @property
    def fences(self) -> Fences:
        return Fences(self.state_file.with_name("fences"))

    @property
    def asleep(self) -> Asleep:
        return Asleep(plan.table(self.prefix), self.state_file.with_name("asleep"), self._lock_file)

    @property
    def host_address(self) -> IPv4Address:
        return addresses.host_address(self.container_prefix)

    # --- the base

    def apply_base(self) -> None:
        """Blackhole, rules, forwarding, a way through other firewalls; changes nothing where they are there,
        cuts no connection."""
        with self._locked(fcntl.LOCK_EX), problems_with("set up the container network"):
            self._refuse_taken_prefix()
            links.keep_within(self.container_prefix, self.host_address)
            if not self._ruleset_is_current():
                self._replace_table()
            self._set_sysctls()
            beside.let_pass(self.prefix, plan.table(self.prefix))

    def hold_host(self) -> None:
        """What of `apply_base` is no rule, blackhole and forwarding, once its rules are there. It costs the
        same for any number of containers."""
        with self._locked(fcntl.LOCK_EX), problems_with("set up the container network"):
            if self._ruleset_is_current():
                links.keep_within(self.container_prefix, self.host_address)
                self._set_sysctls()

    def remove_all(self) -> None:
        """Disconnect every container and leave the host as it was before `apply_base`."""
        with self._locked(fcntl.LOCK_EX), problems_with("take down the container network"):
            for container_id in self.connected():
                links.delete_link(self._interface(container_id))
            beside.withdraw(self.prefix, plan.table(self.prefix))
            nft.demand(plan.drop_table(self.prefix))
            links.let_go(self.container_prefix, self.host_address)
            self._restore_sysctls()
            self.fences.forget_all()
            self.asleep.forget_all()
        self._lock_file.unlink(missing_ok=True)

    # --- tenants

    def set_fence(self, wanted: Fence) -> bool:
        """Bring a tenant's fence to `wanted`, at one moment, for what runs and is under way as well; False if
        it was that. The caller sees to it that there is one call for a tenant at a time.
        """
        with self._locked(fcntl.LOCK_SH):
            before = self.fences.of(wanted.tenant)
            if before == wanted:
                return False
            lines = fence.change(plan.table(self.prefix), before, wanted)
            done = nft.run("\n".join(lines) + "\n").done if lines else True
            self.fences.keep(wanted)
        if not done:  # somebody flushed the rules, or died between the two steps
            with self._locked(fcntl.LOCK_EX):
                self._replace_table()
        return True

    def forget_fence(self, tenant: int) -> None:
        """Of a tenant that is no more: its rules and what was counted of it. Again is fine."""
        name = plan.table(self.prefix)
        with self._locked(fcntl.LOCK_SH):
            lines = fence.change(name, self.fences.of(tenant), None)
            done = nft.run("\n".join(lines) + "\n").done if lines else True
            for of in plan.PER_TENANT:  # each by itself: nft 1.0.6 refuses to delete what is not there
                nft.run(f"delete element inet {name} {of} {{ {fence.mark(tenant)} }}\n")
            self.fences.forget(tenant)
        if not done:  # somebody flushed the rules, or took a part of them away
            with self._locked(fcntl.LOCK_EX):
                self._replace_table()

    def is_fenced(self, tenant: int) -> bool:
        """Whether `set_fence` was called for the tenant since this host started; it reaches nothing before."""
        return self.fences.has(tenant)

    def held(self) -> dict[int, Held]:
        """What the kernel holds of each tenant's fence, as it says itself."""
        name = plan.table(self.prefix)
        policies, rates = (nft.demand(f"list map inet {name} {of}\n") for of in ("policies", "rates"))
        return fence.held(policies, rates, nft.demand(f"list limits table inet {name}\n"))

    def is_as_set(self, held: Mapping[int, Held]) -> bool:
        """Whether this is of each tenant the policy and the rate that were set."""
        return all(held.get(asked.tenant) == Held(asked.egress, asked.rate) for asked in self.fences.all())

    def restore_fences(self) -> bool:
        """Make the rules again if the kernel holds another policy or rate than was set; False if not."""
        with self._locked(fcntl.LOCK_EX):
            if self.is_as_set(self.held()):
                return False
            self._replace_table()
            return True

    def traffic(self) -> dict[int, Traffic]:
        """Each tenant's counters. They begin anew when the rules are made again."""
        name = plan.table(self.prefix)
        return fence.traffic({of: nft.demand(f"list set inet {name} {of}\n") for of in plan.COUNTED})

    # --- containers

    def connect(self, container_id: str, tenant: int, address: IPv4Address, pid: int) -> None:
        """Give the container whose first process is `pid` its `eth0`. Again is fine; a failure leaves nothing.

        Raises Conflict where another container has the address.
        """
        with self.connecting(container_id, tenant, address) as connect:
            connect(pid)

    @contextmanager
    def connecting(
        self, container_id: str, tenant: int, address: IPv4Address
    ) -> Iterator[Callable[[int], None]]:
        """`connect` in two halves: the rules let the container's packets in while the caller makes it, and then
        gives the id of its first process to what this gives. It is connected at the end of the `with`, or
        where that fails, by whatever, nothing is left.
        """
        endpoint = Endpoint(container_id, tenant, address)
        try:
            with self._admitting(endpoint):
                yield lambda pid: self._join(endpoint, pid)
        except BaseException:
            with suppress(HostProblem):  # the first failure is the one to tell
                self.disconnect(container_id, address)
            raise

    def keep(self, endpoints: Iterable[Endpoint]) -> list[str]:
        """See to it that the rules let these connected containers through, as these tenants': their ids where
        they did not, because another version of Berth connected them or somebody changed an alias.
        """
        labels = links.labels()
        mended = []
        for endpoint in endpoints:
            name, label = self._interface(endpoint.container_id), _label(endpoint)
            if labels.get(name) != label and links.exists(name):
                links.set_label(name, label)
                mended.append(endpoint.container_id)
        if mended:
            with self._locked(fcntl.LOCK_EX), problems_with("let containers through again"):
                self._replace_table()
        return mended

    def disconnect(self, container_id: str, address: IPv4Address) -> None:
        """Take the container off the network, whatever is left of it. Again is fine."""
        with problems_with(f"disconnect container {container_id}"):
            links.delete_link(self._interface(container_id))
            with self._locked(fcntl.LOCK_SH):
                # A late call must not touch an address that another container has by now.
                if tenant := self._tenant_of(container_id, address):
                    gone = plan.packed(self.prefix, Endpoint(container_id, tenant, address))
                    nfnetlink.remove(plan.table(self.prefix), *gone)
                    self.asleep.forget(container_id, address)

    def connected(self) -> set[str]:
        """The ids of the containers that have an interface now."""
        return addresses.containers_among(self.prefix, (name for _, name in socket.if_nameindex()))

    def tenant_of(self, container_id: str, address: IPv4Address) -> int | None:
        """The tenant as whose the rules take what the container sends from `address`; None for nobody's."""
        with problems_with("look at the container network"):
            return self._tenant_of(container_id, address)

    def generation(self) -> int:
        """Another number whenever somebody has changed rules, whoever it was and of whatever table."""
        with problems_with("look at the container network"):
            return nfnetlink.generation()

    def drift(self) -> str:
        """What the kernel's rules lack of what `apply_base` makes; "" if nothing."""
        return rules.drift(self.prefix, self.policy)

    def mend(self) -> str:
        """Make the rules again where somebody took some away, or shut out a container that is connected; what
        was wrong, in words, "" if nothing."""
        with self._locked(fcntl.LOCK_EX), problems_with("mend the container network"):
            wrong = self.drift()
            if not wrong and (shut_out := rules.shut_out(self.prefix, self._endpoints())):
                wrong = f"the nftables table {plan.table(self.prefix)} shuts out {', '.join(shut_out[:4])}"
            if wrong:
                self._replace_table()
            return wrong

    def disconnect_all_of(self, gone: Container[str]) -> None:
        """Disconnect containers that nobody knows any more, by their ids."""
        for endpoint in self._endpoints():
            if endpoint.container_id in gone:
                self.disconnect(endpoint.container_id, endpoint.address)

    # --- steps

    @contextmanager
    def _admitting(self, endpoint: Endpoint) -> Iterator[None]:
        with self._locked(fcntl.LOCK_SH):
            try:
                nfnetlink.add(plan.table(self.prefix), *plan.packed(self.prefix, endpoint))
                admitted = True
            except OSError:
                admitted = False
            yield
        if not admitted:
            # The address still belongs to a container that ended unnoticed, or somebody flushed the rules.
            with self._locked(fcntl.LOCK_EX):
                self._replace_table()

    def _join(self, endpoint: Endpoint, pid: int) -> None:
        name = self._interface(endpoint.container_id)
        pair = Pair(name, endpoint.address, source=self.host_address, label=_label(endpoint))
        problems = problems_with(f"connect container {endpoint.container_id}")
        with problems, _network_namespace(pid) as netns:
            if links.exists(name) and links.is_joined(netns):
                return
            links.delete_link(name)  # half made by a call that was killed
            links.join_host(pair, netns)
            links.join_container(pair, netns)

    def _tenant_of(self, container_id: str, address: IPv4Address) -> int | None:
        table = plan.table(self.prefix)
        if nfnetlink.find(table, plan.binding(self.prefix, container_id, address)) is None:
            return None
        found = nfnetlink.find(table, Element("tenants", address.packed))
        return plan.tenant_in(found) if found else None

    def _replace_table(self) -> None:
        sleeping = [IPv4Address(sleeper.address) for sleeper in self.asleep.all()]
        # Of those that the kernel has forgotten, somebody may have called without a word of it: all are woken.
        called = self.asleep.called() | (set(sleeping) - self.asleep.laid())
        elements = self._endpoints(), self.fences.all()
        # A question between this look and the new table is not noted; the next packet on its connection is.
        waiting = awaited.read(plan.table(self.prefix))
        nft.demand(
            plan.replace(self.prefix, self.policy, *elements, sleeping=sleeping, called=called, waiting=waiting)
        )

    def _endpoints(self) -> list[Endpoint]:
        labels = links.labels()
        mine = sorted(addresses.containers_among(self.prefix, labels))
        found = (_from_label(container_id, labels[self._interface(container_id)]) for container_id in mine)
        return [endpoint for endpoint in found if endpoint]

    def _ruleset_is_current(self) -> bool:
        wanted = plan.table(self.prefix), plan.version(self.prefix, self.policy)
        return any((chain.table, chain.name) == wanted for chain in nfnetlink.chains())

    def _interface(self, container_id: str) -> str:
        return addresses.interface_of(self.prefix, container_id)

    # --- the host's own settings

    def _refuse_taken_prefix(self) -> None:
        for interface, network in links.others_inside(self.container_prefix, self.prefix):
            raise HostProblem(
                f"container prefix {self.container_prefix} is in use: {interface} leads to {network}",
                hint="set BERTH_CONTAINER_PREFIX to a private network that this machine does not use",
            )

    def _set_sysctls(self) -> None:
        former = {name: (SYSCTLS / name).read_text().strip() for name in WANTED if (SYSCTLS / name).exists()}
        if all(value == WANTED[name] for name, value in former.items()):
            return
        if not self.state_file.exists():  # what was there before the first time is what counts
            self.state_file.write_text(json.dumps(former))
        for name in former:
            (SYSCTLS / name).write_text(WANTED[name])

    def _restore_sysctls(self) -> None:
        if not self.state_file.exists():
            return
        if not beside.somebody_else_forwards(plan.table(self.prefix)):  # Docker, say, that came after us
            for name, value in json.loads(self.state_file.read_text()).items():
                (SYSCTLS / name).write_text(value)
        self.state_file.unlink()

    # --- locking

    @property
    def _lock_file(self) -> Path:
        return self.state_file.with_suffix(".lock")

    @contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        """Whoever makes the table again (LOCK_EX) must not miss an element that is just added (LOCK_SH)."""
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock_file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)


def _label(endpoint: Endpoint) -> str:
    return f"{endpoint.tenant} {endpoint.address}"


def _from_label(container_id: str, label: str) -> Endpoint | None:
    """None for what another version of Berth wrote, until `keep`."""
    tenant, _, address = label.partition(" ")
    return Endpoint(container_id, int(tenant), IPv4Address(address)) if tenant.isdecimal() else None


@contextmanager
def _network_namespace(pid: int) -> Iterator[int]:
    """The network namespace of a process, as a descriptor; never the host's own."""
    try:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise HostProblem(
            f"process {pid} ended before its container was connected",
            hint="look at the container's log",
            retryable=True,
        ) from error
    try:
        if os.path.samestat(os.fstat(descriptor), Path("/proc/thread-self/ns/net").stat()):
            raise HostProblem(f"process {pid} is in the host's own network, not in a container's")
        yield descriptor
    finally:
        os.close(descriptor)
