"""What a cluster looks like right now, for a person."""

from __future__ import annotations

import os

from .errors import CommandError
from .faults import Node
from .kubectl import Object
from .nodes import node_of
from .records import Home, state_root
from .site import Site


def status(cluster_id: str) -> str:
    """Several lines; works for clusters in any state."""
    home = Home(state_root(os.environ), cluster_id)
    record = home.read()
    if record is None:
        return f"cluster {cluster_id}: none"
    site = Site(home, record)
    if not site.hub.is_running():
        return f"cluster {cluster_id}: not running; remove what is left: hack/cluster down"
    services = ", ".join(service.name for service in site.hub.spec().services)
    lines = [
        f"cluster {cluster_id}: {record.phase}, at {record.api_address}",
        f"  kubeconfig  {home.kubeconfig}",
        f"  logs        {home.hub}/log, {home.nodes}/*/log",
        f"  services    {services}",
    ]
    objects = _node_objects(site)
    return "\n".join(lines + [_line(node_of(site, s), objects) for s in record.nodes or ()])


def _node_objects(site: Site) -> dict[str, Object]:
    try:
        return {node["metadata"]["name"]: node for node in site.kubectl.items("nodes")}
    except CommandError:
        return {}


def _line(node: Node, objects: dict[str, Object]) -> str:
    if not node.is_running():
        power = "off"
    elif node.is_partitioned():
        power = "partitioned"
    else:
        power = "on"
    return f"  {node.name:15} {node.address:15} {power:12} {_seen(objects.get(node.name))}"


def _seen(node: Object | None) -> str:
    if node is None:
        return "no Node object"
    ready = next((c for c in node["status"]["conditions"] if c["type"] == "Ready"), None)
    gpus = node["status"].get("capacity", {}).get("nvidia.com/gpu", "0")
    return f"Ready={ready['status'] if ready else '?'}, GPUs {gpus}"
