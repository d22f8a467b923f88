"""What has to be there before a cluster is started; `doctor` looks at more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .commands import programs
from .errors import PreconditionError
from .node_config import CNI_DIRECTORIES

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "versitygw")
NODES = (
    "kube-scheduler",
    "coredns",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "kubelet",
    "kube-proxy",
    "ec2-metadata-mock",
)
SYSTEM = ("ip", "nft", "nsenter", "runc", "unshare", "mount", "cp")
CNI = ("ptp", "host-local", "portmap")


OWN_KERNELS = ("linux.uml", "mkfs.ext4", "setpriv")


def check(*, with_nodes: bool, own_kernels: bool = False) -> None:
    """Raise `PreconditionError` with everything that is missing and how to get it.

    `own_kernels`: some of the nodes have one.
    """
    if problems := [*missing(with_nodes=with_nodes, own_kernels=own_kernels)]:
        raise PreconditionError("\n".join(problems))


def missing(*, with_nodes: bool, own_kernels: bool = False) -> list[str]:
    """One line for each thing that is missing."""
    wanted = (*CONTROL_PLANE, *NODES) if with_nodes else CONTROL_PLANE
    unbuilt = [name for name in wanted if not (programs() / name).exists()]
    found = []
    if unbuilt:
        found.append(f"not built: {', '.join(unbuilt)}; run: make toolchain")
    if with_nodes:
        found += _missing_for_nodes((*SYSTEM, *(OWN_KERNELS if own_kernels else ())))
    if own_kernels and not Path("/dev/net/tun").exists():
        found.append("no /dev/net/tun: nodes with their own kernel need it; modprobe tun")
    return found


def _missing_for_nodes(system: Sequence[str]) -> list[str]:
    if os.geteuid() != 0:
        return ["not root: nodes need mounts, networks and cgroups; run as root"]
    absent = [name for name in system if shutil.which(name) is None]
    absent += [
        f"the CNI plugin {name}"
        for name in CNI
        if not any((Path(directory) / name).exists() for directory in CNI_DIRECTORIES)
    ]
    if not absent:
        return []
    return [f"not found: {', '.join(absent)}; run: python3 hack/toolchain packages   (as root)"]
