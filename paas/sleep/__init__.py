"""Putting containers to sleep and waking them: what cgroups and the network's rules do together.

No Django here: the waker is a process of its own, which must be small and never wait for a database.
"""

from paas.sleep.beds import Bed, Woken

__all__ = ["Bed", "Woken"]
