"""Mounts and namespaces, tried in a mount namespace that ends with the test."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.errors import HostProblem
from paas.linux import mounts, namespaces, trials
from paas.linux.command import run

ROOT = str(Path(__file__).parents[2])
UID_BASE = 1_879_048_192 + 90 * 65_536


def test_overlay_options() -> None:
    assert mounts.overlay_options(["b", "a"], "u", "w") == (
        "lowerdir=b:a,upperdir=u,workdir=w,volatile,index=off,redirect_dir=off,metacopy=off"
    )


def test_sixty_layers_fit_and_many_more_are_refused() -> None:
    upper = f"../../disk-views/{'c' * 12}/containers/{'1' * 12}/upper"
    layers = ["a" * 64] * 58
    assert len(mounts.overlay_options(layers, upper, upper)) <= mounts.OPTIONS_MAX
    with pytest.raises(HostProblem, match="cannot stack 70 layers"):
        mounts.overlay_options(["a" * 64] * 70, upper, upper)


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="berth-brl-"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.kernel
def test_a_pinned_namespace_hides_its_mounts(place: Path) -> None:
    pin, target = place / "ns" / "mount", place / "target"
    target.mkdir()
    try:
        namespaces.pin_mount_namespace(pin)
        namespaces.pin_mount_namespace(pin)
        assert namespaces.is_pinned(pin)
        enter = ["nsenter", f"--mount={pin}", "--"]
        run([*enter, "mount", "-t", "tmpfs", "none", target])
        assert run([*enter, "mountpoint", "-q", target], check=False).status == 0
        assert not mounts.is_mounted(target)
        unified = "/sys/fs/cgroup/unified"
        assert run([*enter, "mountpoint", "-q", unified], check=False).status != 0
        # The null device can be written to, not given away.
        assert run([*enter, "sh", "-c", "echo x > /dev/null"]).status == 0
        assert run([*enter, "chown", "1:1", "/dev/null"], check=False).status != 0
    finally:
        namespaces.unpin(pin)
    assert not pin.exists()
    assert not mounts.is_mounted(pin.parent)
    namespaces.unpin(pin)


@pytest.mark.kernel
def test_a_namespace_is_pinned_from_a_namespace_that_any_cpu_made(place: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from paas.linux import namespaces\n"
        "pin = Path(sys.argv[1])\n"
        "for _ in range(8): namespaces.pin_mount_namespace(pin); namespaces.unpin(pin)"
    )
    everywhere = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
    for cpu in os.sched_getaffinity(0):
        made_here = ["taskset", "--cpu-list", str(cpu), "unshare", "--mount"]
        anywhere = ["taskset", "--cpu-list", everywhere]
        run([*made_here, *anywhere, sys.executable, "-c", program, place / "ns" / "mount"])


@pytest.mark.kernel
def test_outside_berths_namespace_no_container_is_run() -> None:
    pid = os.fork()
    if pid == 0:
        from paas.linux import syscalls  # noqa: PLC0415

        syscalls.unshare(syscalls.CLONE_NEWNS)
        mounts.make_private(Path("/"), recursive=True)
        mounts.unmount(namespaces.NULL)
        try:
            namespaces.demand_shielded_null()
        except HostProblem:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


@pytest.mark.kernel
def test_user_namespace_maps_the_range() -> None:
    with namespaces.user_namespace(UID_BASE) as fd:
        assert os.readlink(f"/proc/self/fd/{fd}").startswith("user:")  # noqa: PTH115
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.kernel
def test_a_failed_mount_says_what_and_why(place: Path) -> None:
    with pytest.raises(HostProblem) as caught:
        mounts.bind(place / "absent", place)
    assert caught.value.summary == (
        f"cannot bind {place}/absent at {place}: mount bind: No such file or directory"
    )
    assert caught.value.details == {"errno": "ENOENT"}


@pytest.mark.kernel
def test_unmounting_what_is_not_mounted_is_fine(place: Path) -> None:
    (place / "point").mkdir()
    mounts.remove_mount_point(place / "point")
    mounts.remove_mount_point(place / "point")
    assert not (place / "point").exists()


@pytest.mark.kernel
def test_the_kernel_is_tried_and_nothing_stays(place: Path) -> None:
    outcomes = trials.run_all(place)
    assert set(outcomes) == set(trials.NAMES)
    assert {name: why for name, why in outcomes.items() if why} == {}
    assert list(place.iterdir()) == []
    assert str(place) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.kernel
def test_a_program_that_is_not_installed_is_named(place: Path) -> None:
    """As on a fresh machine: here they are covered, in a mount namespace of their own."""
    covered = [shutil.which(name) or "" for name in ("nft", "mkfs.ext4")]
    script = (
        "for file in $PROGRAMS; do mount --bind /dev/null $file; done; exec $PYTHON -m paas.linux.trials $PLACE"
    )
    env = {"PROGRAMS": " ".join(covered), "PYTHON": sys.executable, "PLACE": str(place), "PYTHONPATH": ROOT}
    done = run(["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", script], env=env)
    missing = {name: why for name, why in json.loads(done.stdout).items() if why}
    assert missing == {
        "loop": "mkfs.ext4 is not installed",
        "nftables": "nft is not installed",
        "nflog": "nft is not installed",
    }
