"""A real Kubernetes cluster on one Linux machine, whose nodes can lose their power.

    with Cluster.up("dev", nodes="spot=3,on-demand=1") as cluster:
        cluster.kubectl("apply", "-f", "job.yaml")
        cluster.node("spot-a").notice(120)     # the cloud announces the node's end
        cluster.node("spot-a").kill()          # and takes it
        cluster.node("spot-a").return_()       # a new machine of the same name

Every machine of the cluster, the control plane's included, is one process tree in namespaces of
its own (`machine.py`); its network, mounts and processes cannot outlive it. What can (files,
cgroups, one link on the host) is named after the cluster's id and removed by `sweep.py`.
"""

from .cluster import Cluster, down
from .errors import ClusterError, NotReadyError, PreconditionError
from .faults import Node
from .pools import NodeSpec, parse_nodes
from .s3 import S3
from .uml_node import UmlNode

__all__ = [
    "S3",
    "Cluster",
    "ClusterError",
    "Node",
    "NodeSpec",
    "NotReadyError",
    "PreconditionError",
    "UmlNode",
    "down",
    "parse_nodes",
]
