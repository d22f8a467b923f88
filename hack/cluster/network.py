"""The cluster's network: a bridge in the hub's namespace, one link to this host, one per node.

Only the link `spot-<id>` and a route over it are on this host; both go with the hub's namespace.
So no firewall, forwarding or sysctl setting of the host matters, and none is changed. There is no
default route anywhere in the cluster: nothing in it can reach beyond this machine.
"""

from __future__ import annotations

from .addresses import Addresses
from .commands import run, succeeds
from .pools import NodeSpec

METADATA_ADDRESS = "169.254.169.254"
BRIDGE = "br0"
NODE_LINK = "eth0"
"""A node's end of its link to the hub."""


def host_link(cluster_id: str) -> str:
    return f"spot-{cluster_id}"


def hub_setup(addresses: Addresses) -> str:
    """What the hub's machine does in its namespace before anything runs there."""
    return f"""\
ip link set lo up
ip link add {BRIDGE} address {_hub_hardware(addresses)} type bridge
ip link set host0 master {BRIDGE}
ip link set host0 up
ip address add {addresses.hub}/{addresses.machines.prefixlen} dev {BRIDGE}
ip link set {BRIDGE} up
echo 1 > /proc/sys/net/ipv4/ip_forward
for each in all default {BRIDGE}; do echo 0 > /proc/sys/net/ipv4/conf/$each/send_redirects; done
"""


def _hub_hardware(addresses: Addresses) -> str:
    """Without one of its own a bridge takes a link's, and another one when that link goes: whoever
    knew it would find nobody for seconds after a node's end."""
    return f"02:73:70:6f:74:{addresses.slot:02x}"


def node_setup(addresses: Addresses, node: NodeSpec, device: str = NODE_LINK) -> str:
    """What a node's machine does in its namespace before anything runs there."""
    lines = [
        "ip link set lo up",
        f"ip address add {addresses.node(node.index)}/{addresses.machines.prefixlen} dev {device}",
        f"ip link set {device} up",
        f"ip route add {addresses.network} via {addresses.hub}",
        f"ip route add unreachable {addresses.pods(node.index)}",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ]
    if node.capacity == "spot":
        lines.append(f"ip address add {METADATA_ADDRESS}/32 dev lo")
    return "\n".join(lines) + "\n"


def connect_hub(cluster_id: str, addresses: Addresses, hub_pid: int) -> None:
    """Make the link between this host and the hub."""
    link = host_link(cluster_id)
    disconnect_hub(cluster_id)
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "host0", "netns", str(hub_pid))
    address = f"{addresses.host}/{addresses.machines.prefixlen}"
    run("ip", "address", "add", address, "dev", link)
    run("ip", "link", "set", link, "up")
    run("ip", "route", "add", str(addresses.network), "via", str(addresses.hub))


def disconnect_hub(cluster_id: str) -> None:
    """Remove that link, if it is there; its address and route go with it."""
    _remove(("ip",), host_link(cluster_id))


def connect_node(addresses: Addresses, node: NodeSpec, hub_pid: int, node_pid: int) -> None:
    """Make the link between the hub's bridge and the node."""
    disconnect_node(node, hub_pid)
    peer = ("type", "veth", "peer", "name", NODE_LINK, "netns", str(node_pid))
    _in_hub(hub_pid, "link", "add", node.name, *peer)
    _in_hub(hub_pid, "link", "set", node.name, "master", BRIDGE, "up")
    via = ("via", str(addresses.node(node.index)))
    _in_hub(hub_pid, "route", "replace", str(addresses.pods(node.index)), *via)


def disconnect_node(node: NodeSpec, hub_pid: int) -> None:
    """Remove the node's link, if it is there."""
    _remove(_hub_command(hub_pid), node.name)


def cut(node: NodeSpec, hub_pid: int) -> None:
    """Unplug the node: what runs on it goes on, and reaches nobody."""
    _in_hub(hub_pid, "link", "set", node.name, "down")


def mend(node: NodeSpec, hub_pid: int) -> None:
    """Plug it in again."""
    _in_hub(hub_pid, "link", "set", node.name, "up")


def is_cut(node: NodeSpec, hub_pid: int) -> bool:
    return "state UP" not in run(*_hub_command(hub_pid, "link", "show", "dev", node.name))


def _remove(ip: tuple[str, ...], link: str) -> None:
    # The kernel may be removing it at this moment, with the namespace of its other end.
    if not succeeds(*ip, "link", "delete", link) and succeeds(*ip, "link", "show", "dev", link):
        run(*ip, "link", "delete", link)


def _in_hub(hub_pid: int, *ip_arguments: str) -> None:
    run(*_hub_command(hub_pid, *ip_arguments))


def _hub_command(hub_pid: int, *ip_arguments: str) -> tuple[str, ...]:
    return ("nsenter", "--target", str(hub_pid), "--net", "ip", *ip_arguments)
