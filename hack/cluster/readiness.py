"""Waiting until nodes take pods, and giving them their GPUs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from .commands import until
from .errors import CommandError, NotReadyError
from .kubectl import Object
from .machine import Machine
from .site import Site

_NOT_YET = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}


def takes_pods(node: Object, boot_id: str) -> bool:
    """Whether the Node object shows this boot, ready, without the taints of a missing node."""
    status = node["status"]
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions", [])
    )
    tainted = any(taint["key"] in _NOT_YET for taint in node["spec"].get("taints", []))
    return ready and not tainted and status["nodeInfo"]["bootID"] == boot_id


def await_ready(site: Site, boots: Mapping[str, Callable[[], str]], within: float) -> None:
    """Wait until the nodes take pods in these boots; each gets its GPUs as soon as it does.

    Raises `NotReadyError` at once when the machine of one of them ends.
    """
    missing = dict(boots)

    def all_ready() -> bool:
        if ended := [name for name in missing if not Machine(site.home.nodes / name).is_running()]:
            raise NotReadyError(f"{', '.join(ended)}: ended while starting\n{explain()}")
        for node in _nodes(site):
            name = node["metadata"]["name"]
            if name in missing and takes_pods(node, missing[name]()):
                give_gpus(site, name)
                del missing[name]
        return not missing

    def explain() -> str:
        machines = [Machine(site.home.nodes / name) for name in missing]
        names = ("supervisor", "linux.uml", "containerd", "kubelet")
        tails = [machine.log_tail(name) for machine in machines for name in names]
        return "\n".join(tails)

    until("nodes that take pods", all_ready, within=within, explain=explain)


def _nodes(site: Site) -> list[Object]:
    try:
        return site.kubectl.items("nodes")
    except CommandError:
        return []


def give_gpus(site: Site, name: str) -> None:
    """Show the GPUs that the node is said to have; kubelet forgets them when it starts anew."""
    gpus = next(node.gpus for node in site.record.nodes or () if node.name == name)
    amount = {"nvidia.com/gpu": str(gpus)}
    change = {"status": {"capacity": amount, "allocatable": amount}}
    patch = ("--subresource", "status", "--type", "merge", "--patch", json.dumps(change))
    site.kubectl("patch", "node", name, *patch)
