"""What a node is told, as its programs read it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import NodeSpec, parse_nodes, uml
from cluster.control_plane import corefile, scheduler_config, services
from cluster.machine import Service
from cluster.network import METADATA_ADDRESS, hub_setup, node_setup
from cluster.node_config import (
    KERNEL_TUNABLES,
    Disk,
    cni_config,
    containerd_config,
    kubelet_config,
    mounts,
    proxy_config,
)
from cluster.node_config import services as node_services
from cluster.records import Home, Record

SPOT, ON_DEMAND = parse_nodes("spot=1,on-demand=1")
(OWN,) = parse_nodes("uml=1")


def record(nodes: tuple[NodeSpec, ...] | None = (SPOT, ON_DEMAND), **changes: Any) -> Record:
    values: dict[str, Any] = {
        "id": "t",
        "slot": 2,
        "phase": "up",
        "access_key": "KEY",
        "secret_key": "SECRET",
        "controllers": True,
        "lease_seconds": 10,
        "grace_seconds": 20,
        "nodes": nodes,
    }
    return Record(**{**values, **changes})


def named(found: tuple[Service, ...], name: str) -> Service:
    return next(service for service in found if service.name == name)


def test_kubelet_registers_the_taints_and_renews_the_lease_as_asked() -> None:
    config = json.loads(kubelet_config(SPOT, record(), "/spot-t/spot-a"))
    assert config["registerWithTaints"] == SPOT.taints
    assert config["nodeLeaseDurationSeconds"] == 10
    assert config["cgroupRoot"] == "/spot-t/spot-a"
    assert config["clusterDNS"] == ["198.18.32.1"]


def test_a_kernel_of_its_own_has_its_whole_cgroup_tree_and_a_graceful_shutdown() -> None:
    config = json.loads(kubelet_config(OWN, record((OWN,)), ""))
    assert config["cgroupDriver"] == "systemd"
    assert config["shutdownGracePeriod"] == "20s"
    assert not {"cgroupRoot", "failCgroupV1"} & set(config)
    assert "SystemdCgroup = true" in containerd_config("pause:1", systemd=True)
    assert json.loads(proxy_config(OWN, record((OWN,))))["mode"] == "iptables"


def test_the_guest_runs_what_every_node_runs_by_the_same_arguments() -> None:
    scripts = uml.programs(node_services(OWN, record((OWN,))))
    assert set(scripts) == {"containerd", "kubelet", "kube-proxy", "ec2-metadata-mock"}
    assert scripts["kubelet"].startswith("exec kubelet --config=/var/lib/node/kubelet.yaml ")


def test_the_guest_kernel_has_a_user_and_an_address_of_its_own() -> None:
    first, second = parse_nodes("uml=2")
    assert uml.user(first) != uml.user(second)
    found = [uml.spec(node, record().addresses, Path("/d"), ()) for node in (first, second)]
    arguments = [" ".join(each.services[0].argv) for each in found]
    assert "mac=02:75:6d:6c:02:00" in arguments[0]
    assert "mac=02:75:6d:6c:02:01" in arguments[1]
    assert all("--bounding-set=-all --no-new-privs -- linux.uml" in text for text in arguments)
    assert all(each.services[0].is_machine for each in found)


@pytest.mark.parametrize(("ahead", "set_to"), [(600, "+ 600"), (-600, "+ -600")])
def test_a_wrong_clock_is_set_before_anything_runs(ahead: float, set_to: str) -> None:
    lines = uml.guest_setup(OWN, record().addresses, ahead).splitlines()
    assert lines[0] == f'date -s "@$(($(date +%s) {set_to}))"'
    assert "date" not in uml.guest_setup(OWN, record().addresses, 0)


def test_kubelet_serves_only_who_may() -> None:
    config = json.loads(kubelet_config(SPOT, record(), "/x"))
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}


def test_a_pod_gets_an_address_of_its_nodes_own_range() -> None:
    plugins = json.loads(cni_config(ON_DEMAND, record()))["plugins"]
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": "198.18.34.0/24"}]]


def test_containerd_finds_the_pause_image_and_the_plugins() -> None:
    config = tomllib.loads(containerd_config("localhost/pause:1"))
    plugins = config["plugins"]
    images, runtime = (plugins[f"io.containerd.cri.v1.{part}"] for part in ("images", "runtime"))
    assert images["pinned_images"]["sandbox"] == "localhost/pause:1"
    assert runtime["restrict_oom_score_adj"] is True
    assert "/usr/lib/cni" in runtime["cni"]["bin_dirs"]


def test_kube_proxy_leaves_the_machines_own_limits_alone() -> None:
    config = json.loads(proxy_config(SPOT, record()))
    assert config["mode"] == "nftables"
    assert config["conntrack"]["maxPerCore"] == 0


def test_kernel_settings_that_kubelet_would_change_are_covered() -> None:
    script = mounts(Disk(Path("/state/n")))
    for name in KERNEL_TUNABLES:
        assert f"/var/lib/node/sys/{name} /proc/sys/{name}\n" in script
    assert "/var/lib/node/boot_id /proc/sys/kernel/random/boot_id\n" in script


def test_the_hosts_own_state_is_out_of_the_nodes_sight() -> None:
    script = mounts(Disk(Path("/state/n")))
    assert "mount --bind /state/n/disk/lib /var/lib\n" in script
    assert "mount --bind /state/n/disk/log /var/log\n" in script
    assert "tmpfs /run\n" in script


@pytest.mark.parametrize("node", [SPOT, ON_DEMAND], ids=lambda node: node.name)
def test_only_spot_nodes_have_the_metadata_service(node: NodeSpec) -> None:
    setup = node_setup(record().addresses, node)
    names = {service.name for service in node_services(node, record())}
    assert (METADATA_ADDRESS in setup) is (node is SPOT)
    assert ("ec2-metadata-mock" in names) is (node is SPOT)


@pytest.mark.parametrize(
    "setup", [node_setup(record().addresses, SPOT), hub_setup(record().addresses)]
)
def test_there_is_no_way_out_of_the_cluster(setup: str) -> None:
    assert "default via" not in setup
    assert "0.0.0.0/0" not in setup


def test_kubelet_waits_for_containerd() -> None:
    assert named(node_services(SPOT, record()), "kubelet").after.endswith("containerd.sock")


def test_kubelet_names_the_node_and_its_labels() -> None:
    argv = named(node_services(SPOT, record()), "kubelet").argv
    assert "--hostname-override=spot-a" in argv
    labels = next(part for part in argv if part.startswith("--node-labels="))
    assert "karpenter.sh/capacity-type=spot" in labels


def test_with_nodes_the_control_plane_is_reached_at_the_hub(tmp_path: Path) -> None:
    found = services(Home(tmp_path, "t"), record())
    assert {service.name for service in found} == {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "versitygw",
        "coredns",
    }
    assert "--bind-address=198.18.32.1" in named(found, "kube-apiserver").argv
    assert "--node-monitor-grace-period=20s" in named(found, "kube-controller-manager").argv


def test_without_nodes_everything_is_on_loopback(tmp_path: Path) -> None:
    found = services(Home(tmp_path, "t"), record(nodes=None, controllers=False))
    assert {service.name for service in found} == {"etcd", "kube-apiserver", "versitygw"}
    assert "--bind-address=127.77.2.1" in named(found, "kube-apiserver").argv


def test_etcd_is_never_where_pods_can_reach_it(tmp_path: Path) -> None:
    etcd = named(services(Home(tmp_path, "t"), record()), "etcd")
    assert "--listen-client-urls=http://127.77.2.1:2379" in etcd.argv


def test_the_store_gets_its_keys_unseen_by_ps(tmp_path: Path) -> None:
    store = named(services(Home(tmp_path, "t"), record()), "versitygw")
    assert store.env["ROOT_SECRET_KEY"] == "SECRET"
    assert "SECRET" not in " ".join(store.argv)


def test_dns_asks_nobody_outside(tmp_path: Path) -> None:
    text = corefile(Home(tmp_path, "t"), record())
    assert "forward" not in text
    assert "bind 198.18.32.1" in text


def test_the_scheduler_has_its_kubeconfig(tmp_path: Path) -> None:
    config = yaml.safe_load(scheduler_config(Home(tmp_path, "t")))
    assert config["clientConnection"]["kubeconfig"] == str(
        tmp_path / "t" / "pki" / "kube-scheduler.kubeconfig"
    )
