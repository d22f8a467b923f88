"""Who has which address: pure arithmetic on the cluster's slot.

Clusters share 198.18.0.0/15, the range that RFC 2544 sets aside for benchmarks, so they meet no
real network. It is cut into 32 slots of 16 blocks (/24):

    block 0       machines: .1 the hub (control plane, bridge), .2 this host, .10 + i node i
    block 1 + i   pods of node i
    block 15      services

Beside it a slot has one loopback address, 127.77.<slot>.1, for what nobody outside may reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

RANGE = IPv4Network("198.18.0.0/15")
SLOTS = 32
MAX_NODES = 14
API_PORT = 6443
ETCD_PORT = 2379
S3_PORT = 7070


@dataclass(frozen=True)
class Addresses:
    """The addresses of the cluster in one slot (0 … 31)."""

    slot: int

    @property
    def network(self) -> IPv4Network:
        """Everything of this cluster."""
        return IPv4Network((int(RANGE.network_address) + self.slot * 4096, 20))

    @property
    def machines(self) -> IPv4Network:
        return self._block(0)

    @property
    def services(self) -> IPv4Network:
        return self._block(15)

    @property
    def hub(self) -> IPv4Address:
        """The control plane, the cluster's DNS and the object store."""
        return self.machines[1]

    @property
    def host(self) -> IPv4Address:
        """This machine, as the cluster sees it."""
        return self.machines[2]

    @property
    def api_service(self) -> IPv4Address:
        """The `kubernetes` Service: the first address of the range, by Kubernetes' own rule."""
        return self.services[1]

    @property
    def loopback(self) -> IPv4Address:
        return IPv4Address(f"127.77.{self.slot}.1")

    def node(self, index: int) -> IPv4Address:
        return self.machines[10 + index]

    def pods(self, index: int) -> IPv4Network:
        return self._block(1 + index)

    def _block(self, number: int) -> IPv4Network:
        return list(self.network.subnets(new_prefix=24))[number]
