"""What can happen to a node happens as it does on a cloud."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster, Node, PreconditionError
from cluster.errors import CommandError

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

BEAT = "import time\nwhile True: print(time.time()); time.sleep(0.2)"
POLL = """
import json, urllib.request
def get(path, method="GET", **headers):
    url = "http://169.254.169.254/latest/" + path
    request = urllib.request.Request(url, method=method, headers=headers)
    return urllib.request.urlopen(request, timeout=3).read().decode()
token = get("api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
try:
    print(get("meta-data/PATH", **{"X-aws-ec2-metadata-token": token}))
except urllib.error.HTTPError as error:
    print(error.code)
"""
ACTION = POLL.replace("PATH", "spot/instance-action")
REBALANCE = POLL.replace("PATH", "events/recommendations/rebalance")


def test_a_notice_is_heard_by_pods_of_that_node_alone(
    cluster: Cluster, pods: Any, node: Node
) -> None:
    for name in ("spot-a", "spot-b"):
        pods.start(name, name, BEAT)
    assert pods.run("spot-b", ACTION) == "404"

    deadline = node.notice(120)

    heard = json.loads(pods.run("spot-b", ACTION))
    assert heard == {"action": "terminate", "time": deadline.strftime("%Y-%m-%dT%H:%M:%SZ")}
    assert 115 < (deadline - datetime.now(UTC)).total_seconds() <= 120
    assert pods.run("spot-a", ACTION) == "404"

    node.withdraw()
    assert pods.run("spot-b", ACTION) == "404"


def test_a_rebalance_recommendation_is_no_notice(pods: Any, node: Node) -> None:
    pods.start("p", node.name, BEAT)
    assert pods.run("p", REBALANCE) == "404"
    node.rebalance()
    assert "noticeTime" in json.loads(pods.run("p", REBALANCE))
    assert pods.run("p", ACTION) == "404"


def test_on_demand_nodes_get_no_notice(cluster: Cluster) -> None:
    with pytest.raises(PreconditionError, match="not a spot node"):
        cluster.node("on-demand-a").notice()


def test_a_power_cut_ends_all_that_ran_at_once(cluster: Cluster, pods: Any, node: Node) -> None:
    pods.start("p", node.name, BEAT)
    inside = _processes_of(node)
    assert len(inside) > 5

    node.kill()

    assert not any(Path(f"/proc/{pid}").exists() for pid in inside)
    assert not node.is_running()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/spot-{cluster.id}/{node.name}"))
    pods.until("the node is called unreachable", lambda: _ready(pods, node) == "Unknown", 60)
    assert pods.phase("p") == "Running"


def test_a_node_returns_with_a_new_boot_and_its_pods_ended(pods: Any, node: Node) -> None:
    pods.start("p", node.name, BEAT)
    before = node.boot_id
    node.kill()

    node.return_()

    assert node.boot_id != before
    found = pods.get("node", node.name)
    assert found["status"]["nodeInfo"]["bootID"] == node.boot_id
    assert found["status"]["allocatable"]["nvidia.com/gpu"] == "1"
    pods.until("its old pod has ended", lambda: pods.phase("p") == "Failed")
    pods.start("q", node.name, BEAT)


def test_a_new_machine_of_the_same_name_knows_nothing(pods: Any, node: Node) -> None:
    pods.start("p", node.name, BEAT)
    node.kill()

    node.return_(fresh_disk=True)

    pods.until("its old pod has ended", lambda: pods.phase("p") == "Failed")
    pods.start("q", node.name, BEAT)


def test_a_partitioned_node_works_on_unseen(cluster: Cluster, pods: Any, node: Node) -> None:
    pods.start("p", node.name, BEAT)
    node.partition()
    renewed = _renewed(cluster, node)
    assert node.is_partitioned()
    log = next(node.machine.directory.glob("disk/log/pods/*_p_*/main/0.log"))
    size = log.stat().st_size
    pods.until("the pod goes on", lambda: log.stat().st_size > size)
    pods.until("its lease runs out", lambda: _age(cluster, node) > 10)
    assert _renewed(cluster, node) == renewed

    node.heal()

    pods.until("its lease is renewed", lambda: _age(cluster, node) < 10)
    assert pods.phase("p") == "Running"
    assert pods.run("p", "print('reached')") == "reached"


def test_a_node_that_joins_later_takes_pods(cluster: Cluster, pods: Any) -> None:
    cluster.add_node("late", "spot")
    pods.start("p", "late", BEAT)
    assert Cluster.attach(cluster.id).node("late").is_running()


def test_an_outage_of_the_api_server_ends_nothing(cluster: Cluster, pods: Any, node: Node) -> None:
    pods.start("p", node.name, BEAT)
    cluster.stop_service("kube-apiserver")
    with pytest.raises(CommandError, match="refused"):
        cluster.kubectl("get", "nodes", "--request-timeout=3s")
    cluster.start_services()
    assert pods.phase("p") == "Running"


def _processes_of(node: Node) -> list[int]:
    namespace = Path(f"/proc/{node.machine.pid()}/ns/net").readlink()
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if _network(pid) == namespace]


def _network(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/net").readlink()
    except OSError:
        return None


def _ready(pods: Any, node: Node) -> str:
    conditions = pods.get("node", node.name)["status"]["conditions"]
    return str(next(each["status"] for each in conditions if each["type"] == "Ready"))


def _renewed(cluster: Cluster, node: Node) -> str:
    where = ("lease", node.name, "--namespace", "kube-node-lease")
    return cluster.kubectl("get", *where, "-o", "jsonpath={.spec.renewTime}")


def _age(cluster: Cluster, node: Node) -> float:
    renewed = datetime.fromisoformat(_renewed(cluster, node))
    return (datetime.now(UTC) - renewed).total_seconds()
