"""ChainIDs: the identity of a stack of layers (OCI image spec, config.md, "Layer ChainID")."""

from __future__ import annotations

from collections.abc import Iterable

from paas.oci.digest import hex_of, of_bytes


def chain_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """The ChainID of each layer on top of those below it, bottom first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        hex_of(diff_id)
        chain.append(of_bytes(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)


def chain_id(diff_ids: Iterable[str]) -> str:
    """The ChainID of the whole stack; "" for no layers."""
    return next(reversed(chain_ids(diff_ids)), "")
