"""Images by the names that a build gives them: this machine's own first, then those of registries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from paas.errors import BadInput, NotFound
from paas.images import Store
from paas.oci.reference import names_registry


@dataclass(slots=True)
class Names:
    """One build's: a name means one image from its first use to its end, whatever a registry says meanwhile.
    `known` are those used, with their digests; `pulled` is whether a registry was asked for any."""

    store: Store
    pull: Callable[[str], str] | None = None
    known: dict[str, str] = field(default_factory=dict)
    pulled: bool = False

    def digest(self, name: str) -> str:
        if name not in self.known:
            self.known[name] = self._find(name)
        return self.known[name]

    def _find(self, name: str) -> str:
        try:
            return self.store.resolve(name)
        except (NotFound, BadInput):
            if self.pull is None or not names_registry(name):
                raise
        self.pulled = True
        return self.pull(name)
