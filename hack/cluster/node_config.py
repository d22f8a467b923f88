"""A node's disk and what runs on it: containerd, kubelet, kube-proxy, the metadata service.

On the node, `<disk>/lib` is /var/lib, `<disk>/log` is /var/log and /run is empty memory, so that
it looks like any node and writes nothing of the host's. `/var/lib/node` holds its configuration.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path

from . import metadata
from .addresses import API_PORT
from .control_plane import DOMAIN
from .files import write_atomically
from .machine import Service, Spec
from .network import node_setup
from .pki import Authority
from .pools import NodeSpec
from .records import Record

ETC = Path("/var/lib/node")
"""Where the node itself finds its configuration."""
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CNI_DIRECTORIES = ["/usr/lib/cni", "/opt/cni/bin"]

KERNEL_TUNABLES = {
    "kernel/keys/root_maxbytes": 25_000_000,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
}
"""What kubelet insists on (its `setupKernelTunables`). They are the whole machine's, so on nodes
plain files with these values are mounted over them: kubelet is content, the host unchanged."""


class Disk:
    """The disk of one node, as the host sees it."""

    def __init__(self, machine: Path) -> None:
        self.lib = machine / "disk" / "lib"
        self.log = machine / "disk" / "log"
        self.etc = self.lib / "node"
        self.containerd = self.lib / "containerd"
        self.boot_id = self.etc / "boot_id"

    def new_boot(self) -> str:
        """What a start changes on the disk; returns the new boot's id."""
        boot = str(uuid.uuid4())
        write_atomically(self.boot_id, boot + "\n", 0o644)
        return boot

    def format(
        self, node: NodeSpec, record: Record, authority: Authority, sandbox: str, cgroup: str
    ) -> None:
        """Write the node's configuration; fine to repeat."""
        for part in ("cni", "kubelet", "tmp"):
            (self.lib / part).mkdir(parents=True, exist_ok=True)
        for part in ("pods", "containers"):
            (self.log / part).mkdir(parents=True, exist_ok=True)
        write_atomically(self.etc / "machine-id", uuid.uuid4().hex + "\n", 0o644)
        for name, value in KERNEL_TUNABLES.items():
            write_atomically(self.etc / "sys" / name, f"{value}\n", 0o644)
        write_configuration(self.etc, node, record, authority, sandbox, cgroup)


def write_configuration(
    etc: Path, node: NodeSpec, record: Record, authority: Authority, sandbox: str, cgroup: str
) -> None:
    """What the node finds below `ETC`; `cgroup` is empty where the whole tree is the node's own."""
    write_atomically(etc / "containerd.toml", containerd_config(sandbox, systemd=not cgroup))
    write_atomically(etc / "cni" / "10-pods.conflist", cni_config(node, record))
    write_atomically(etc / "kube-proxy.yaml", proxy_config(node, record))
    write_atomically(etc / "kubelet.yaml", kubelet_config(node, record, cgroup))
    _write_credentials(etc, node, record, authority)


def _write_credentials(etc: Path, node: NodeSpec, record: Record, authority: Authority) -> None:
    server = f"https://{record.api_address}:{API_PORT}"
    address = str(record.addresses.node(node.index))
    kubelet = authority.issue(
        f"node-{node.name}",
        f"system:node:{node.name}",
        groups=("system:nodes",),
        hosts=(node.name, address),
    )
    proxy = authority.issue("kube-proxy", "system:kube-proxy")
    for name, pair in {"kubelet": kubelet, "kube-proxy": proxy}.items():
        text = authority.kubeconfig(server, pair, name)
        write_atomically(etc / f"{name}.kubeconfig", text)
    copies = {"ca": authority.certificate, "crt": kubelet.certificate, "key": kubelet.key}
    for name, source in copies.items():
        write_atomically(etc / f"kubelet.{name}", source.read_text())


def spec(
    node: NodeSpec, record: Record, disk: Disk, env: Mapping[str, str], joins: tuple[str, ...]
) -> Spec:
    """The node as a machine. `joins`: the cgroups of its own programs (not of its pods)."""
    on_node = {**env, "HOME": str(ETC), "TMPDIR": "/var/lib/tmp"}
    setup = mounts(disk) + node_setup(record.addresses, node)
    return Spec(services=services(node, record), env=on_node, setup=setup, cgroups=joins)


def mounts(disk: Disk) -> str:
    """The shell lines that make the node's own view of the file system."""
    over = {f"/proc/sys/{name}": f"{ETC}/sys/{name}" for name in KERNEL_TUNABLES}
    over["/proc/sys/kernel/random/boot_id"] = f"{ETC}/boot_id"
    lines = [
        f"mount --bind {disk.lib} /var/lib",
        f"mount --bind {disk.log} /var/log",
        "mount -t tmpfs -o mode=755 tmpfs /run",
        f"if [ -e /etc/machine-id ]; then mount --bind {ETC}/machine-id /etc/machine-id; fi",
        *(f"mount --bind {source} {target}" for target, source in sorted(over.items())),
        # As on any systemd host; kubelet's volumes rely on it.
        "mount --make-rshared /",
    ]
    return "\n".join(lines) + "\n"


def services(
    node: NodeSpec, record: Record, announced: metadata.Announced = None
) -> tuple[Service, ...]:
    """What runs on the node. Spot nodes have the metadata service, announcing what is given."""
    labels = ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
    kubelet = (
        "kubelet",
        f"--config={ETC}/kubelet.yaml",
        f"--kubeconfig={ETC}/kubelet.kubeconfig",
        f"--hostname-override={node.name}",
        f"--node-ip={record.addresses.node(node.index)}",
        f"--node-labels={labels}",
    )
    proxy = ("kube-proxy", f"--config={ETC}/kube-proxy.yaml", f"--hostname-override={node.name}")
    found = (
        Service("containerd", ("containerd", "--config", f"{ETC}/containerd.toml")),
        Service("kubelet", kubelet, after=CONTAINERD_SOCKET),
        Service("kube-proxy", proxy),
    )
    if node.capacity != "spot":
        return found
    return (*found, metadata.service(ETC, announced))


def containerd_config(sandbox: str, *, systemd: bool = False) -> str:
    """`sandbox` is the image that holds a pod's namespaces. The toolchain has no other registry.

    `systemd`: it makes the pods' cgroups, as on most production nodes.
    """
    return f"""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{sandbox}"

[plugins.'io.containerd.cri.v1.runtime']
# Without CAP_SYS_RESOURCE runc may not lower a score, and dies trying.
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = {json.dumps(CNI_DIRECTORIES)}
conf_dir = "{ETC}/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = {str(systemd).lower()}
"""


def cni_config(node: NodeSpec, record: Record) -> str:
    """Routed pods (`ptp`), not bridged ones: these need nothing of the host's br_netfilter."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(record.addresses.pods(node.index))}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}, indent=1)


def kubelet_config(node: NodeSpec, record: Record, cgroup: str) -> str:
    """`cgroup` is where this node's pods go; empty: the tree is its own. JSON is YAML."""
    cgroups = {"cgroupDriver": "cgroupfs", "cgroupRoot": cgroup, "failCgroupV1": False}
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(record.addresses.node(node.index)),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{ETC}/kubelet.ca"},
        },
        "authorization": {"mode": "Webhook"},
        **(cgroups if cgroup else OWN_KERNEL),
        "clusterDNS": [str(record.addresses.hub)],
        "clusterDomain": DOMAIN,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "enforceNodeAllocatable": [],
        # The disk is the host's, with everything else on it: only a nearly full one matters.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "200Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "failSwapOn": False,
        "nodeLeaseDurationSeconds": record.lease_seconds,
        "registerWithTaints": node.taints,
        "resolvConf": "",
        "tlsCertFile": f"{ETC}/kubelet.crt",
        "tlsPrivateKeyFile": f"{ETC}/kubelet.key",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }
    return json.dumps(config, indent=1)


OWN_KERNEL = {
    "cgroupDriver": "systemd",
    "shutdownGracePeriod": "20s",
    "shutdownGracePeriodCriticalPods": "5s",
}
"""kubelet's settings on a machine that systemd runs and can shut down."""


def proxy_config(node: NodeSpec, record: Record) -> str:
    """Conntrack limits stay as they are: some are the whole machine's.

    user-mode-linux kernels have no nf_tables for IPv4.
    """
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables" if node.own_kernel else "nftables",
        "clientConnection": {"kubeconfig": f"{ETC}/kube-proxy.kubeconfig"},
        "clusterCIDR": str(record.addresses.network),
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    return json.dumps(config, indent=1)
