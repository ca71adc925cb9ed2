"""What sleeps, as the network sees it: rules that report the first packet to an address, sets that hold what
sleeps and who called, and a small file for each sleeper that says what there is to thaw.

A packet that only keeps a connection or ends it (TCP without SYN and without data) is answered by the kernel
itself, and wakes nobody. Everything else does, and counts as use.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path

from paas.network import awaited, nfnetlink
from paas.network.nfnetlink import Element

ASLEEP, CALLED, ACTIVE = "asleep", "called", "active"
REMEMBERED_DAYS = 30
_GROUPS = 0xB000  # of 65,536: each installation's own, by the two letters that it has for itself anyway
_WITHOUT_DATA = f"tcp flags & syn == 0 {awaited.WITHOUT_DATA} return"
_SIZE = "size 1048576"


def group(prefix: str) -> int:
    """The NFLOG group that reports calls, by a prefix of two lower-case letters."""
    first, second = (ord(letter) - ord("a") for letter in prefix[:2])
    return _GROUPS + (first * 26 + second) % (0x10000 - _GROUPS)


def sets() -> list[tuple[str, list[str]]]:
    return [
        (f"set {ASLEEP}", ["type ipv4_addr", _SIZE]),
        (f"set {CALLED}", ["type ipv4_addr", _SIZE, "flags dynamic"]),
        (f"set {ACTIVE}", ["type ipv4_addr", _SIZE, "flags dynamic,timeout", f"timeout {REMEMBERED_DAYS}d"]),
    ]


def notice_to(prefix: str) -> list[str]:
    """Of a packet to a container: 20 bytes of it hold the address that it goes to."""
    report = f"log group {group(prefix)} snaplen 20 queue-threshold 1"
    return [
        _WITHOUT_DATA,
        f"update @{ACTIVE} {{ ip daddr }}",
        f"ip daddr @{ASLEEP} add @{CALLED} {{ ip daddr }} {report}",
    ]


def notice_from() -> list[str]:
    return [_WITHOUT_DATA, f"update @{ACTIVE} {{ ip saddr }}"]


def additions(table: str, sleeping: Iterable[IPv4Address], called: Iterable[IPv4Address]) -> list[str]:
    found = ((name, sorted(addresses)) for name, addresses in ((ASLEEP, sleeping), (CALLED, called)))
    return [
        f"add element inet {table} {name} {{ {', '.join(map(str, addresses))} }}"
        for name, addresses in found
        if addresses
    ]


@dataclass(frozen=True, slots=True)
class Sleeper:
    """What whoever wakes a container must know: its id of 12 hexadecimal digits, its address, its cgroup's
    name. `since` is in seconds since 1970, `before` what it used in bytes."""

    container_id: str
    address: str
    cgroup: str
    since: float
    before: int


@dataclass(frozen=True, slots=True)
class Asleep:
    """`table` is the name of the table in the kernel, `folder` is in the run folder, as `fences` is; `lock`
    is the network's, held by whoever makes the table again."""

    table: str
    folder: Path
    lock: Path

    # --- files
    def note(self, address: IPv4Address) -> Path:
        """A former limit, while a memory limit is lowered for a moment (see paas.linux.reclaim)."""
        return self.folder / f"{address}.limit"

    def hot(self, address: IPv4Address) -> Path:
        """The pages that it is going to need first (see paas.linux.hot_pages)."""
        return self.folder / f"{address}.pages"

    def parents(self, address: IPv4Address) -> Path:
        """Those to hold back when it wakes (see paas.sleep.parents)."""
        return self.folder / f"{address}.parents"

    def note_wake(self, address: IPv4Address) -> None:
        """It is about to be woken. What called it has not been answered yet, however long ago that was sent."""
        new = self.folder / f"{address}.{os.getpid()}.new"
        new.write_text(f"{time.monotonic()}")
        new.rename(self._woken(address))

    def watch(self, address: IPv4Address) -> bool:
        """From now on it counts whether anything was sent; False if that was so before."""
        if self._woken(address).exists() or self._watched(address).exists():
            return False
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._watched(address).write_text(f"{time.monotonic()}")
        return True

    def was_used(self, address: IPv4Address) -> bool:
        """Since it is watched, and not woken yet."""
        try:
            watched = float(self._watched(address).read_text())
        except FileNotFoundError:
            return False
        return not self._woken(address).exists() and self.idle_of(address) < time.monotonic() - watched

    def _watched(self, address: IPv4Address) -> Path:
        return self.folder / f"{address}.watched"

    def _woken(self, address: IPv4Address) -> Path:
        return self.folder / f"{address}.woken"

    def write(self, sleeper: Sleeper) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.folder / f"{sleeper.address}.new"
        new.write_text(json.dumps(asdict(sleeper)))
        new.rename(self.file(sleeper.address))

    def file(self, address: IPv4Address | str) -> Path:
        return self.folder / f"{address}"

    def read(self, address: IPv4Address | str) -> Sleeper | None:
        try:
            return Sleeper(**json.loads(self.file(address).read_text()))
        except FileNotFoundError:
            return None

    def all(self) -> list[Sleeper]:
        return [found for address in sorted(self.addresses()) if (found := self.read(address))]

    def addresses(self) -> set[IPv4Address]:
        """Of all, without a look at more than the files' names."""
        if not self.folder.is_dir():
            return set()
        names = (file.name for file in self.folder.iterdir())
        return {IPv4Address(name) for name in names if name.rpartition(".")[2].isdecimal()}

    def forget(self, container_id: str, address: IPv4Address) -> None:
        """It has ended. What sleeps at its address by now, as another container, is left alone. OSError."""
        sleeper = self.read(address)
        if sleeper and sleeper.container_id == container_id:
            self.lift(address)
            self.file(address).unlink(missing_ok=True)
        self.note(address).unlink(missing_ok=True)
        self.hot(address).unlink(missing_ok=True)
        self.parents(address).unlink(missing_ok=True)
        self._woken(address).unlink(missing_ok=True)
        self._watched(address).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            nfnetlink.remove(self.table, Element(ACTIVE, address.packed))
        awaited.forget(self.table, address)

    def forget_all(self) -> None:
        if self.folder.is_dir():
            for file in self.folder.iterdir():
                file.unlink()
            self.folder.rmdir()

    # --- the kernel
    def lay(self, sleeper: Sleeper) -> None:
        """From now on a packet to it is reported. Whoever makes the table again sees file and element, or
        neither. OSError."""
        with self.lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            self.write(sleeper)
            nfnetlink.add(self.table, Element(ASLEEP, IPv4Address(sleeper.address).packed))

    def lift(self, address: IPv4Address) -> bool:
        """No packet to it is reported any more; False if none was. OSError."""
        try:
            nfnetlink.remove(self.table, Element(ASLEEP, address.packed))
        except OSError as error:
            if error.errno != errno.ENOENT:  # the table may be gone as well
                raise
            return False
        finally:
            with suppress(FileNotFoundError):  # nobody has called
                nfnetlink.remove(self.table, Element(CALLED, address.packed))
        return True

    def holds(self, address: IPv4Address) -> bool:
        return bool(nfnetlink.get(self.table, Element(ASLEEP, address.packed)))

    def laid(self) -> set[IPv4Address]:
        return set(nfnetlink.addresses(self.table, ASLEEP))

    def called(self) -> set[IPv4Address]:
        return set(nfnetlink.addresses(self.table, CALLED))

    def awaited(self) -> set[IPv4Address]:
        """Those for whose answer another container waits. Frozen they would never give it, and nothing would
        wake them. OSError."""
        return awaited.apps(awaited.read(self.table))

    def idle_seconds(self) -> dict[IPv4Address, float]:
        """How long ago each address that had any was last sent something or sent something itself."""
        return _past(nfnetlink.addresses(self.table, ACTIVE))

    def idle_of(self, address: IPv4Address) -> float:
        """The same of one, or how long ago it was woken; infinite where nothing is known of it."""
        sent = _past(nfnetlink.get(self.table, Element(ACTIVE, address.packed))).get(address, math.inf)
        try:
            woken = time.monotonic() - float(self._woken(address).read_text())
        except FileNotFoundError:
            woken = math.inf
        return min(sent, woken)


def _past(left: Mapping[IPv4Address, float | None]) -> dict[IPv4Address, float]:
    whole = REMEMBERED_DAYS * 86_400
    return {address: max(0.0, whole - seconds) for address, seconds in left.items() if seconds is not None}
