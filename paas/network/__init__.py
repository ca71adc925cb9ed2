"""The containers' network: addresses and rules (pure), and the Network that makes them true."""

from paas.network.addresses import address_of, offset_of, offsets, service_address
from paas.network.apply import Network
from paas.network.own import own_networks
from paas.network.plan import Endpoint
from paas.network.resolvers import host_resolvers, resolv_conf

__all__ = [
    "Endpoint",
    "Network",
    "address_of",
    "host_resolvers",
    "offset_of",
    "offsets",
    "own_networks",
    "resolv_conf",
    "service_address",
]
