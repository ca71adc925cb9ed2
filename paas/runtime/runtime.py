"""Containers by their id: create, start, stop, delete, and what is true of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from paas.errors import CommandFailed, Conflict, HostProblem, NotFound
from paas.linux import cgroup_use, mounts, namespaces, reclaim, shares
from paas.linux.cgroup_limits import Refusals
from paas.linux.cgroups import Cgroup
from paas.linux.command import Completed, run
from paas.oci.signals import signal_number
from paas.paths import Paths
from paas.runtime import conmon, files, rootfs, shown, space, stubs, volumes
from paas.runtime.bundle import environment, oci_config, process_config
from paas.runtime.hosts import this_host
from paas.runtime.inside import Inside, check_places, check_program, identify
from paas.runtime.limits import Hold
from paas.runtime.lives import Facts, Life, of_container
from paas.runtime.rootfs import PlainRootfs
from paas.runtime.space import Space
from paas.specs import ContainerSpec, ContainerState, Effective, Limits, Reading, TenantSpec, Usage, Weight

EXEC_OUTPUT_MAX = 256 * 1024


class Runtime:
    """Runs containers under the contract of docs/explanation/architecture.md.

    Must be used in the mount namespace that paas.linux.namespaces pins. Keeps nothing in memory: any number
    of processes may have one, and one that dies leaves its containers running.
    """

    def __init__(self, paths: Paths, cgroup_root: str = "/berth") -> None:
        self.paths, self.cgroup_root = paths, cgroup_root

    # --- tenants
    def prepare_tenant(self, tenant: TenantSpec) -> None:
        """Make the tenant's slice, disk and views, or bring them up to the spec. Cheap when all is there."""
        space.ensure(self._space(tenant.id), tenant)

    def remove_tenant(self, tenant_id: str) -> None:
        """Delete its containers, then its disk, views and slice. There is no way back."""
        for container_id in self.list():
            facts = self._life(container_id).facts()
            if facts and facts.tenant_id == tenant_id:
                self.delete(container_id)
        space.remove(self._space(tenant_id))

    def tenant_usage(self, tenant_id: str) -> Usage:
        return self._space(tenant_id).slice.usage()

    def apply_quota(self, tenant: TenantSpec) -> None:
        """Bring slice and disk up to the spec, and what runs: a container that was held to less for a smaller
        quota's sake gets its own limits back. Errors: LimitRefused when one is; all else is done."""
        own, refused = self._space(tenant.id), Refusals()
        with refused.noted():
            space.prepare(own, tenant)
        space.grow(own)
        for container_id in self.list():
            life = self._life(container_id)
            facts = life.facts()
            if facts and facts.tenant_id == tenant.id and facts.limits and life.pid():
                with refused.noted(), space.shared(own):
                    self._hold(life, facts).apply(facts.limits, tenant.quota)
        refused.tell()

    def tenant_effective(self, tenant_id: str) -> Effective | None:
        """What the kernel holds the tenant to now; None for one that has nothing on this host."""
        own = self._space(tenant_id)
        return space.effective(own) if own.slice.exists() else None

    def holds_writeback(self, tenant: TenantSpec) -> bool:
        """Whether what the kernel writes later for the tenant, which no cgroup's file tells of, is limited."""
        return space.holds_writeback(self._space(tenant.id), tenant)

    def effective(self, container_id: str) -> Effective:
        """The same of a container, by its cgroup."""
        return self._hold(*self._known(container_id)).effective()

    def is_held(self, container_id: str, quota: Limits) -> bool:
        """Whether it is held to its own limits within that quota; True where these are not known."""
        life, facts = self._known(container_id)
        return facts.limits is None or self._hold(life, facts).is_held(facts.limits, quota)

    def hold_to(self, container_id: str, memory_bytes: int, swap_bytes: int, quota: Limits) -> bool:
        """Other limits of memory for what runs, from now on and whenever the tenant's quota is applied again.
        False, and nothing changes, where it needs more than that now. Errors: NotFound, HostProblem."""
        life, facts = self._known(container_id)
        seen = self.reading(facts.tenant_id, facts.app_id, container_id)
        if facts.limits is None or seen.working_set + seen.swap > memory_bytes:
            return False
        limits = replace(facts.limits, memory_bytes=memory_bytes, swap_bytes=swap_bytes)
        life.cgroup(facts).limit(space.within(limits, quota))
        replace(facts, limits=limits).write(life.bundle)
        return True

    def tenant_of(self, container_id: str) -> str | None:
        facts = self._life(container_id).facts()
        return facts.tenant_id if facts else None

    # --- a container's life
    def create(self, spec: ContainerSpec, log: Path, beside: conmon.Beside = lambda pid: None) -> int:
        """Make the container and its first process, which waits for `start`; returns that process's id.

        The tenant must be prepared. `log`, a file or a pipe (conmon.OUR_DESCRIPTORS), takes conmon's records.
        `beside` is called with that id as soon as it has its namespaces. Errors, after which nothing is left:
        StepFailed, BadInput, Refused: the image or the spec is at fault; Conflict; HostProblem; `beside`'s own.
        """
        life = self._life(spec.id)
        if life.bundle.exists():
            raise Conflict(f"container {spec.id} exists", hint="delete it first")
        namespaces.demand_shielded_null()
        signal_number(spec.stop_signal)  # one that is not known now would be in the way of its stop
        self._make_folders(log)
        with ExitStack() as undo:
            life.bundle.mkdir(mode=0o711)
            undo.callback(self.delete, spec.id)
            facts = Facts(spec.tenant.id, spec.app_id, spec.stop_signal, spec.stop_timeout, limits=spec.limits)
            facts.write(life.bundle)
            with space.shared(own := self._space(spec.tenant.id)):
                spec = replace(spec, tenant=space.in_force(own, spec.tenant))
                pid = self._create(spec, life, facts, log, beside)
            undo.pop_all()
        return pid

    def start(self, container_id: str) -> None:
        """Let the first process run its command. Starting one that runs does nothing."""
        life, _ = self._known(container_id)
        if life.started_mark.exists():
            return
        if not conmon.let_run(self.paths.runtime / container_id):
            self._crun("start", container_id)  # to hear what is wrong
        life.started_mark.touch()

    def stop(self, container_id: str, *, signal: str | None = None, timeout: float | None = None) -> None:
        """Ask it to end, and after `timeout` seconds kill everything in it. Both default to the spec's."""
        life = self._life(container_id)
        facts = life.facts()
        state = life.state()
        if facts is None or state.status in ("absent", "stopped"):
            return
        grace = facts.stop_timeout if timeout is None else timeout
        life.cgroup(facts).thaw()  # on v1 one that stands still takes no signal
        if state.status == "running" and grace > 0:
            life.send(signal_number(signal or facts.stop_signal))
            if life.wait_for_end(grace):
                return
        life.cgroup(facts).kill()
        life.wait_for_end(conmon.CREATE_TIMEOUT)

    def delete(self, container_id: str) -> None:
        """Leave no process, mount, cgroup or file of it, except its log. Deleting one that is gone is fine."""
        life = self._life(container_id)
        facts = life.facts()
        if facts is not None:
            self._end(life, facts)
        mounts.remove_mount_point(life.rootfs)
        shown.remove(life.bundle)
        if facts is not None:
            rootfs.remove_scratch(self._space(facts.tenant_id), container_id)
        life.exit_file.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.rmtree(life.bundle)

    def _end(self, life: Life, facts: Facts) -> None:
        """Everything of it that lives: its processes, the runtime's record, conmon, the cgroup."""
        cgroup = life.cgroup(facts)
        cgroup.kill()
        life.wait_for_end(conmon.CREATE_TIMEOUT)
        life.end_conmon()
        if (self.paths.runtime / life.id).exists():
            self._crun("delete", "--force", life.id)
        cgroup.remove()
        Cgroup(
            f"{self._space(facts.tenant_id).slice.name}/{facts.app_id}"
        ).remove_if_empty()  # see of_container

    # --- looking
    def state(self, container_id: str) -> ContainerState:
        return self._life(container_id).state()

    def wait(self, container_id: str, timeout: float) -> ContainerState:
        """Sleep until it has ended, at most `timeout` seconds; its state then, whichever it is."""
        life = self._life(container_id)
        life.wait_for_end(timeout)
        return life.state()

    def cgroup_of(self, container_id: str) -> Cgroup:
        life, facts = self._known(container_id)
        return life.cgroup(facts)

    def usage(self, container_id: str) -> Usage:
        life, facts = self._known(container_id)
        return life.cgroup(facts).usage()

    def reading(self, tenant_id: str, app_id: str, container_id: str) -> Reading:
        """More of it, without a look at its files here. FileNotFoundError when it is gone."""
        return cgroup_use.read(of_container(self.cgroup_root, tenant_id, app_id, container_id))

    def list(self) -> list[str]:
        """Ids of the containers that this host knows, in whatever state."""
        if not self.paths.bundles.is_dir():
            return []
        return sorted(bundle.name for bundle in self.paths.bundles.iterdir())

    def weigh(self, tenant_id: str, app_id: str, container_id: str) -> Weight:
        """What its processes have to themselves, and with others. Slow."""
        return shares.weigh(of_container(self.cgroup_root, tenant_id, app_id, container_id).pids())

    def has(self, container_id: str) -> bool:
        """Whether `list` names it."""
        return (self.paths.bundles / container_id).is_dir()

    def page_out_helpers(self, container_id: str) -> None:
        """What only waits while it runs, its init and its conmon, goes to swap where there is some. Slow."""
        life = self._life(container_id)
        for pid in (life.pid(), life.conmon_pid()):
            if pid is not None:
                reclaim.page_out_process(pid)

    # --- volumes
    def volume_bytes(self, tenant_id: str, volume: str) -> int | None:
        """Bytes that it takes on the tenant's disk; None while that is not mounted, or not told in time."""
        return volumes.size(self._space(tenant_id), volume)

    def remove_volume(self, tenant: TenantSpec, volume: str) -> None:
        """Delete a volume that no container has. Again is fine."""
        self.prepare_tenant(tenant)
        volumes.remove(self._space(tenant.id), volume)

    # --- files
    def changeset(self, container_id: str) -> Path:
        """The folder of what the container changed, in overlayfs's form, with ids from 0; gone with `delete`.

        Ask when the container has stopped. Mount points that the runtime had to make are taken out of it.
        """
        _, facts = self._known(container_id)
        upper = self._space(facts.tenant_id).scratch(container_id) / rootfs.UPPER
        stubs.remove(upper, facts.stubs, facts.holders)
        return upper

    def written(self, container_id: str) -> tuple[Path, tuple[str, ...]]:
        """Where a container's changes are while it runs, in overlayfs's form, with ids from 0; and the paths in
        it ("srv/x") that only the runtime made. What is read there is the tenant's, and may change meanwhile.
        """
        _, facts = self._known(container_id)
        upper = self._space(facts.tenant_id).scratch(container_id) / rootfs.UPPER
        return upper, stubs.untouched(upper, facts.stubs, facts.holders)

    @contextmanager
    def frozen(self, container_id: str) -> Iterator[None]:
        """Its processes stand still meanwhile. One that was left so by a crash goes on with the next thaw."""
        life, facts = self._known(container_id)
        cgroup = life.cgroup(facts)
        cgroup.freeze()
        try:
            yield
        finally:
            cgroup.thaw()

    @contextmanager
    def plain_rootfs(self, tenant: TenantSpec, layers: Sequence[str]) -> Iterator[PlainRootfs]:
        """The layers as a writable folder with ids as on disk, for steps that only copy files."""
        scratch_id = f"copy-{uuid4().hex[:12]}"
        target = self.paths.rootfs / scratch_id
        with rootfs.plain(self._space(tenant.id), layers, scratch_id, target) as plain:
            yield plain

    def set_hosts(self, container_id: str, hosts: files.Hosts) -> bool:
        """What its /etc/hosts says from now on; False if it said so. NotFound when it is not there."""
        life, _ = self._known(container_id)
        try:
            return files.rewrite_hosts(life.bundle, hosts)
        except FileNotFoundError:
            raise NotFound(f"container {container_id} has no hosts file yet") from None

    # --- beside the first process
    def exec(
        self,
        spec: ContainerSpec,
        args: tuple[str, ...],
        *,
        user: str | None = None,
        timeout: float = 60,
        check: bool = False,
        keep: int = EXEC_OUTPUT_MAX,
    ) -> Completed:
        """Run `args` in the running container of `spec` under the same contract; its status, and `keep` bytes
        of each of its outputs. CommandFailed when it takes longer than `timeout` seconds: it is killed then.
        """
        life, facts = self._known(spec.id)
        with Inside(life.root()) as inside:
            identity = identify(user or spec.user, inside)
        config = process_config(
            args,
            environment(spec, identity),
            spec.workdir,
            identity,
            root_capable=spec.root_capable,
            goes_first=spec.goes_first,
            host=this_host(),
        )
        pid_file = life.bundle / f"exec-{uuid4().hex[:12]}.pid"
        # What to run is in its standard input: it begins nothing before that is there, and its place is.
        argv = ("exec", "--process", "/dev/stdin", "--pid-file", str(pid_file), spec.id)
        given = {"input": json.dumps(config), "begun": self._hold(life, facts).admit}
        try:
            return self._crun(*argv, timeout=timeout, check=check, keep=keep, **given)
        except CommandFailed:
            life.kill_beside(pid_file)  # it outlives the runtime's program, which was only its way in
            raise
        finally:
            pid_file.unlink(missing_ok=True)

    # --- parts
    def _hold(self, life: Life, facts: Facts) -> Hold:
        own = self._space(facts.tenant_id)
        return Hold(own.slice, life.cgroup(facts), space.disk_of(self.paths.state))

    def _space(self, tenant_id: str) -> Space:
        return Space(self.paths, self.cgroup_root, tenant_id)

    def _life(self, container_id: str) -> Life:
        return Life(self.paths, self.cgroup_root, container_id)

    def _known(self, container_id: str) -> tuple[Life, Facts]:
        life = self._life(container_id)
        facts = life.facts()
        if facts is None:
            raise NotFound(f"no container {container_id} on this host", hint="it may have been deleted")
        return life, facts

    def _make_folders(self, log: Path) -> None:
        """The runtime acts as the tenant's root, who must pass through these but not list them."""
        for folder in (self.paths.bundles, self.paths.rootfs, self.paths.runtime):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        for folder in (self.paths.exits, log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self.paths.nothing.mkdir(exist_ok=True, mode=0o555)

    def _create(self, spec: ContainerSpec, life: Life, facts: Facts, log: Path, beside: conmon.Beside) -> int:
        launch = conmon.Launch(spec.id, life.bundle, log, self.paths.exits, self.paths.runtime)
        with conmon.begun(launch, self._space(spec.tenant.id).conmons) as create:
            self._mount_rootfs(spec, life)
            self._write_bundle(spec, life, facts)

            def meanwhile(pid: int) -> None:
                beside(pid)
                rootfs.let_go(life.rootfs)

            pid = create(life.cgroup(facts), meanwhile)
        # Not by the runtime: crun 1.8 knows BFQ's weight on v1 by no name, and turns v2's into another.
        self._hold(life, facts).begin(spec.limits, spec.tenant.quota)
        return pid

    def _mount_rootfs(self, spec: ContainerSpec, life: Life) -> None:
        own = self._space(spec.tenant.id)
        if not mounts.is_mounted(own.disk_view):
            raise HostProblem(f"tenant {spec.tenant.id} is not prepared", hint="call prepare_tenant first")
        life.rootfs.mkdir(mode=0o711)
        rootfs.make_scratch(own, spec.id, may_spend=spec.may_spend_reserve)
        rootfs.mount(own, spec.layers, spec.id, life.rootfs)

    def _write_bundle(self, spec: ContainerSpec, life: Life, facts: Facts) -> None:
        """Look into the mounted root for who and what to run, then write all that the runtime reads."""
        own = self._space(spec.tenant.id)
        mounted = [*files.write(spec, life.bundle), *shown.prepare(own, spec, life.bundle)]
        targets = [mount.target for mount in mounted]
        with Inside(life.rootfs) as inside:
            identity = identify(spec.user, inside)
            volumes.make(own, spec, identity)
            check_places(spec.workdir, targets, inside)
            check_program(spec.args, environment(spec, identity)["PATH"], spec.workdir, inside, targets)
            missing = stubs.missing([spec.workdir, *targets], inside)
            holders = stubs.holders(missing, inside, spec.tenant.uid_base)
        replace(facts, stubs=missing, holders=holders).write(life.bundle)
        name = life.cgroup(facts).name
        config = oci_config(
            spec,
            identity=identity,
            rootfs=life.rootfs,
            users=own.users,
            nothing=self.paths.nothing,
            cgroup=name,
            mounts=mounted,
            host=this_host(),
        )
        files.write_private(life.bundle / "config.json", config)

    def _crun(self, *args: str, **how: Any) -> Completed:
        argv = ["crun", f"--root={self.paths.runtime}", *args]
        return run(argv, env=namespaces.RUNTIME_IS_READ_ONLY, **how)
