"""Swap in memory, compressed (zram): for machines with a slow disk, or with none to spare.

Devices have no names of their own, and others make some too: ours is known by the id in its swap header, which
comes from the state folder's name. It does not outlive a reboot (Documentation/admin-guide/blockdev/zram.rst).
"""

from __future__ import annotations

from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from paas.errors import CommandFailed, HostProblem
from paas.linux.command import run

CONTROL = Path("/sys/class/zram-control")
BLOCK = Path("/sys/block")
_ID_AT, _ID_SIZE = 1024 + 12, 16  # of a swap header, mkswap(8)


def id_of(state: Path) -> UUID:
    return uuid5(NAMESPACE_URL, f"file://{state.resolve()}/swap")


def find(id: UUID) -> Path | None:
    """Ours, if there is one."""
    for found in sorted(BLOCK.glob("zram*")):
        device = Path("/dev") / found.name
        if size(device) and _id(device) == id.bytes:
            return device
    return None


def size(device: Path) -> int:
    """Bytes of uncompressed pages that it may hold; 0 for one that is not set up."""
    return int((_settings(device) / "disksize").read_text())


def make(id: UUID, size: int) -> Path:
    """One of `size`, ready to be swapped to. As if never tried on an error: HostProblem."""
    if not CONTROL.is_dir():
        run(["modprobe", "zram"], check=False)
    if not CONTROL.is_dir():
        raise HostProblem("this kernel has no zram", hint="Say --swap auto, which makes a file.")
    device = Path(f"/dev/zram{int((CONTROL / 'hot_add').read_text())}")
    try:
        (_settings(device) / "disksize").write_text(str(size))
        run(["mkswap", "-U", str(id), device])
    except (OSError, CommandFailed) as error:
        remove(device)
        hint = "Say --swap auto, which makes a file."
        raise HostProblem(f"cannot set up {device} for swap: {error}", hint=hint) from error
    return device


def remove(device: Path) -> None:
    """It must not be in use."""
    (_settings(device) / "reset").write_text("1")
    (CONTROL / "hot_remove").write_text(device.name.removeprefix("zram"))


def _settings(device: Path) -> Path:
    return BLOCK / device.name


def _id(device: Path) -> bytes:
    with device.open("rb") as opened:
        opened.seek(_ID_AT)
        return opened.read(_ID_SIZE)
