"""A machine with a kernel of its own, as data: user-mode-linux and what it is given.

linux.uml is a Linux kernel that runs as an ordinary program without any right, under a user id of
its own: a guest's program whose kernel dies would go on as a program of this machine. So it also
runs in a pid namespace whose process 1 ends with it.

    this machine's namespaces for the node        the guest
    eth0 (to the hub) ── br0 ── tap0              vec0
    /mnt/disk/system.ext4, images.ext4            / and /var/lib/containerd
    /mnt/disk/node                                /var/lib/node, read-only
    /mnt/log                                      /host
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from .addresses import Addresses
from .machine import PATH, Service, Spec
from .network import BRIDGE, NODE_LINK, node_setup
from .pools import NodeSpec

KERNEL = "linux.uml"
MEMORY = "3G"
"""What the guest may touch; pages that it never touches take nothing here."""
_FIRST_USER = 64990
_HERE = Path("/mnt")
"""Where the kernel sees the machine's directory, whatever the rights on the way to it."""
_RUN = "/run/uml"


def user(node: NodeSpec) -> int:
    """The user id of the node's kernel; nobody else has it."""
    return _FIRST_USER + node.index


def spec(node: NodeSpec, addresses: Addresses, directory: Path, joins: tuple[str, ...]) -> Spec:
    """The machine whose disk and log are in `directory`; it is off when its kernel ends."""
    kernel = Service(KERNEL, (*_without_rights(node), *_kernel(node, addresses)), is_machine=True)
    env = {"PATH": PATH, "HOME": str(_HERE), "TMPDIR": "/dev/shm"}  # noqa: S108 (the guest's memory)
    return Spec((kernel,), env=env, setup=_setup(node, directory), cgroups=joins)


def _without_rights(node: NodeSpec) -> tuple[str, ...]:
    number = str(user(node))
    ids = ("setpriv", "--reuid", number, "--regid", number, "--clear-groups")
    return (*ids, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--")


def _kernel(node: NodeSpec, addresses: Addresses) -> tuple[str, ...]:
    # The hub remembers who had an address, so a node that returns has the same hardware address.
    hardware = f"02:75:6d:6c:{addresses.slot:02x}:{node.index:02x}"
    return (
        *(KERNEL, f"umid={node.name}", f"uml_dir={_RUN}/", f"mem={MEMORY}", f"hostfs={_HERE}"),
        *(f"ubd0={_HERE}/disk/system.ext4", f"ubd1={_HERE}/disk/images.ext4"),
        *("root=/dev/ubda", "rw", "rootfstype=ext4", "init=/sbin/init"),
        f"vec0:transport=tap,ifname=tap0,depth=128,gro=1,mac={hardware}",
        # Started anew by itself, it would find its tap taken; whoever wants it on starts it.
        *("con=null", "con0=null,fd:1", "ssl=null", "console=tty0", "quiet", "noreboot"),
    )


def _setup(node: NodeSpec, directory: Path) -> str:
    """Shell lines of this machine's root, in the node's namespaces, before the kernel starts."""
    number = user(node)
    return f"""\
mount -t tmpfs -o mode=755 tmpfs /run
install -d -o {number} {_RUN}
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount --bind {directory} {_HERE}
mknod -m 666 /run/tun c 10 200
mount --bind /run/tun /dev/net/tun
ip link add {BRIDGE} type bridge
ip tuntap add tap0 mode tap user {number}
for each in lo {NODE_LINK} tap0 {BRIDGE}; do ip link set $each up; done
for each in {NODE_LINK} tap0; do ip link set $each master {BRIDGE}; done
"""


def guest_setup(node: NodeSpec, addresses: Addresses, ahead: float) -> str:
    """Shell lines of the guest's root at every boot. `ahead`: its clock, in seconds."""
    lines = [
        f'date -s "@$(($(date +%s) + {ahead:.0f}))"' if ahead else "",
        f"hostname {node.name}",
        f'echo "127.0.0.1 localhost {node.name}" > /etc/hosts',
        node_setup(addresses, node, "vec0"),
    ]
    return "\n".join(lines)


def programs(services: Iterable[Service]) -> dict[str, str]:
    """The shell scripts that the guest's units run, by the names of the services."""
    return {each.name: f"exec {shlex.join(each.argv)}\n" for each in services}


def agent_settings(addresses: Addresses) -> str:
    """Who may send commands to the guest: the hub and this machine."""
    return f"NODE_HOSTS={addresses.machines.network_address}/30\n"
