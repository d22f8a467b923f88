"""Which nodes a cluster has, and how a cloud labels and taints such nodes.

Labels are those of EKS and Karpenter on AWS, the cloud whose metadata service the spot nodes
mimic. EKS taints nothing by itself, so the spot taint is the one of GKE: a job that tolerates
only one provider's taint is found out here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Literal

from .addresses import MAX_NODES
from .errors import PreconditionError

Capacity = Literal["spot", "on-demand"]
CAPACITIES: tuple[Capacity, ...] = ("spot", "on-demand")
KINDS: dict[str, tuple[Capacity, bool]] = {
    **{capacity: (capacity, False) for capacity in CAPACITIES},
    "uml": ("spot", True),
}
"""What can be asked for: how it is paid for, and whether it has a kernel of its own."""
DEFAULT_NODES = "spot=3,on-demand=1"
REGION = "eu-west-1"
INSTANCE_TYPE = "g5.xlarge"

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,13}[a-z0-9])?")
"""At most 15 characters: a node's name is also the name of its network link."""


@dataclass(frozen=True)
class NodeSpec:
    """One node. `index` decides its addresses; it is unique in its cluster."""

    name: str
    index: int
    capacity: Capacity = "spot"
    gpus: int = 1
    own_kernel: bool = False
    """A user-mode-linux machine: with its own kernel, clock and cgroups (version 2)."""

    @property
    def zone(self) -> str:
        return f"{REGION}{'abc'[self.index % 3]}"

    @property
    def labels(self) -> dict[str, str]:
        """What the cloud's node groups and Karpenter put on such a node."""
        return {
            "eks.amazonaws.com/capacityType": self.capacity.upper().replace("-", "_"),
            "karpenter.sh/capacity-type": self.capacity,
            "karpenter.sh/nodepool": f"gpu-{self.capacity}",
            "node.kubernetes.io/instance-type": INSTANCE_TYPE,
            "topology.kubernetes.io/region": REGION,
            "topology.kubernetes.io/zone": self.zone,
        }

    @property
    def taints(self) -> list[dict[str, str]]:
        """On-demand nodes have none: operators and other services run there."""
        if self.capacity != "spot":
            return []
        keys = {"cloud.google.com/gke-spot": "true", "nvidia.com/gpu": "present"}
        return [{"key": k, "value": v, "effect": "NoSchedule"} for k, v in keys.items()]


def parse_nodes(text: str) -> tuple[NodeSpec, ...]:
    """`spot=3,on-demand=1,uml=1` as nodes spot-a, spot-b, spot-c, on-demand-a, uml-a."""
    nodes: tuple[NodeSpec, ...] = ()
    for part in filter(None, text.split(",")):
        kind, _, count = part.partition("=")
        if not count.isdigit():
            raise PreconditionError(f"{part!r}: write <kind>=<count>, as in {DEFAULT_NODES}")
        for letter in ascii_lowercase[: int(count)]:
            nodes = (*nodes, new_node(f"{kind}-{letter}", kind, nodes))
    return nodes


def new_node(name: str, kind: str, others: Sequence[NodeSpec]) -> NodeSpec:
    """A node beside `others`; raises `PreconditionError` when there can be none such."""
    if kind not in KINDS:
        raise PreconditionError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    capacity, own_kernel = KINDS[kind]
    if not _NAME.fullmatch(name):
        raise PreconditionError(
            f"node name {name!r}: use at most 15 of a-z, 0-9 and -, a letter first"
        )
    if any(other.name == name for other in others):
        raise PreconditionError(f"there is a node {name} already; give another name")
    free = set(range(MAX_NODES)) - {other.index for other in others}
    if not free:
        raise PreconditionError(f"a cluster has room for {MAX_NODES} nodes, not for more")
    return NodeSpec(name, index=min(free), capacity=capacity, own_kernel=own_kernel)
