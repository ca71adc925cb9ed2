"""Capabilities by name, as linux/capability.h numbers them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_ALL = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES = tuple(f"CAP_{name}" for name in _ALL.split())


def mask(names: Iterable[str]) -> int:
    return sum(1 << NAMES.index(name) for name in names)


def named(held: int) -> list[str]:
    """The names in a mask; one that is newer than this list by its number."""
    bits = (bit for bit in range(64) if held >> bit & 1)
    return [NAMES[bit] if bit < len(NAMES) else f"capability {bit}" for bit in bits]
