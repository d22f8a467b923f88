"""What runs in the hub: Kubernetes' control plane, DNS and the object store, as services."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .addresses import API_PORT, ETCD_PORT, S3_PORT
from .files import write_atomically
from .machine import Service
from .pki import Authority
from .records import Home, Record

DOMAIN = "cluster.local"
ISSUER = f"https://kubernetes.default.svc.{DOMAIN}"
DNS_USER = "system:coredns"


def prepare(home: Home, record: Record) -> None:
    """Make the certificates and write the configuration files."""
    authority = Authority(home.pki)
    authority.service_account_key()
    authority.issue("api-server", "kube-apiserver", hosts=_api_names(record))
    authority.issue("kubelet-client", "kube-apiserver", groups=_MASTERS)
    server = f"https://{record.api_address}:{API_PORT}"
    for name, groups in {"admin": _MASTERS, **dict.fromkeys(_CLIENTS, ())}.items():
        pair = authority.issue(name, f"system:{name}", groups=groups)
        config = authority.kubeconfig(server, pair, f"spot-{home.id}")
        write_atomically(_kubeconfig(home, name), config)
    write_atomically(home.hub / "scheduler.yaml", scheduler_config(home))
    write_atomically(home.hub / "Corefile", corefile(home, record))
    (home.hub / "etcd").mkdir(mode=0o700, parents=True, exist_ok=True)
    home.buckets.mkdir(parents=True, exist_ok=True)


_CLIENTS = ("kube-controller-manager", "kube-scheduler", "coredns")
_MASTERS = ("system:masters",)


def _kubeconfig(home: Home, name: str) -> Path:
    return home.kubeconfig if name == "admin" else home.pki / f"{name}.kubeconfig"


def _api_names(record: Record) -> tuple[str, ...]:
    found = record.addresses
    service = "kubernetes.default.svc"
    addresses = (record.api_address, str(found.loopback), str(found.api_service))
    return (*addresses, "kubernetes", "kubernetes.default", service, f"{service}.{DOMAIN}")


def services(home: Home, record: Record) -> tuple[Service, ...]:
    """All services of the hub; without nodes there is neither a scheduler nor DNS."""
    found = [
        _etcd(home, record),
        _api_server(home, record),
        _object_store(home, record),
    ]
    if record.controllers:
        found.append(_controller_manager(home, record))
    if record.nodes is not None:
        found += [_scheduler(home, record), _dns(home)]
    return tuple(found)


def _etcd(home: Home, record: Record) -> Service:
    loopback = record.addresses.loopback
    client, peer = f"http://{loopback}:{ETCD_PORT}", f"http://{loopback}:{ETCD_PORT + 1}"
    flags = {
        "name": "hub",
        "data-dir": home.hub / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"hub={peer}",
        # The cluster is thrown away after a crash of this machine; durability buys nothing.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }
    return Service("etcd", ("etcd", *_flags(flags)))


def _api_server(home: Home, record: Record) -> Service:
    found = record.addresses
    signing_key = home.pki / "service-accounts.key"
    flags = {
        "etcd-servers": f"http://{found.loopback}:{ETCD_PORT}",
        "bind-address": record.api_address,
        "advertise-address": record.api_address,
        "secure-port": API_PORT,
        "service-cluster-ip-range": found.services,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "client-ca-file": home.pki / "ca.crt",
        "tls-cert-file": home.pki / "api-server.crt",
        "tls-private-key-file": home.pki / "api-server.key",
        "kubelet-certificate-authority": home.pki / "ca.crt",
        "kubelet-client-certificate": home.pki / "kubelet-client.crt",
        "kubelet-client-key": home.pki / "kubelet-client.key",
        # Nodes' names are not in any DNS.
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": ISSUER,
        "service-account-key-file": signing_key,
        "service-account-signing-key-file": signing_key,
        "cert-dir": home.hub / "certificates",
        # Alone, the server has a loopback address, which no Endpoints object may hold.
        "endpoint-reconciler-type": "none" if record.nodes is None else "lease",
    }
    return Service("kube-apiserver", ("kube-apiserver", *_flags(flags)))


def _controller_manager(home: Home, record: Record) -> Service:
    flags = {
        "kubeconfig": _kubeconfig(home, "kube-controller-manager"),
        "bind-address": record.addresses.loopback,
        "use-service-account-credentials": "true",
        "service-account-private-key-file": home.pki / "service-accounts.key",
        "root-ca-file": home.pki / "ca.crt",
        "leader-elect": "false",
        "node-monitor-grace-period": f"{record.grace_seconds}s",
        # The defaults (20/30 a second) would be the bottleneck of a load test.
        "kube-api-qps": 500,
        "kube-api-burst": 1000,
    }
    return Service("kube-controller-manager", ("kube-controller-manager", *_flags(flags)))


def _scheduler(home: Home, record: Record) -> Service:
    flags = {"config": home.hub / "scheduler.yaml", "bind-address": record.addresses.loopback}
    return Service("kube-scheduler", ("kube-scheduler", *_flags(flags)))


def scheduler_config(home: Home) -> str:
    return f"""\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection:
  leaderElect: false
clientConnection:
  kubeconfig: {_kubeconfig(home, "kube-scheduler")}
  qps: 500
  burst: 1000
"""


def _dns(home: Home) -> Service:
    argv = ("coredns", "-conf", str(home.hub / "Corefile"))
    return Service("coredns", argv, after=str(dns_may_start(home)))


def dns_may_start(home: Home) -> Path:
    """The file that says so: without an API server that lets it in, it backs off for seconds."""
    return home.hub / "dns-may-start"


def corefile(home: Home, record: Record) -> str:
    """The cluster's names; no other exists, and no question leaves this machine."""
    return f"""\
{DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {record.addresses.hub}
    errors
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {_kubeconfig(home, "coredns")}
        pods insecure
        ttl 5
    }}
    cache 5
}}
.:53 {{
    bind {record.addresses.hub}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def _object_store(home: Home, record: Record) -> Service:
    keys = {"ROOT_ACCESS_KEY": record.access_key, "ROOT_SECRET_KEY": record.secret_key}
    argv = ("versitygw", "--port", f"{record.api_address}:{S3_PORT}", "--quiet", "--keep-alive")
    return Service("versitygw", (*argv, "posix", str(home.buckets)), env=keys)


def _flags(values: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"--{name}={value}" for name, value in values.items())


def bootstrap_objects() -> list[dict[str, object]]:
    """What our DNS server may read: the rights that CoreDNS documents for itself."""
    readable = {"apiGroups": [""], "resources": ["services", "pods", "namespaces", "endpoints"]}
    slices = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]}
    verbs = ["list", "watch"]
    rbac = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": DNS_USER},
            "rules": [{**readable, "verbs": verbs}, {**slices, "verbs": verbs}],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": DNS_USER},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": DNS_USER},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": DNS_USER}],
        },
    ]
