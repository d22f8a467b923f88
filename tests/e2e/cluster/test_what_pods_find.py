"""Pods of the local cluster find what a cloud's cluster gives them."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.request
from typing import Any

import pytest

from cluster import Cluster, Node

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ASK = """
import urllib.request
def metadata(path, **headers):
    request = urllib.request.Request("http://169.254.169.254/latest/" + path, headers=headers)
    return urllib.request.urlopen(request, timeout=3).read().decode()
def token():
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    request = urllib.request.Request(
        "http://169.254.169.254/latest/api/token", method="PUT", headers=ttl)
    return urllib.request.urlopen(request, timeout=3).read().decode()
def status(url, timeout=5):
    try:
        return urllib.request.urlopen(url, timeout=timeout).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return type(error).__name__
"""


def test_a_pod_runs_on_every_node_with_logs_and_exec(cluster: Cluster, pods: Any) -> None:
    for node in running(cluster):
        pods.start(f"on-{node.name}", node.name, f"print('hello'); {_sleep()}")
        assert pods.get("pod", f"on-{node.name}")["spec"]["nodeName"] == node.name
        assert cluster.kubectl("logs", f"on-{node.name}").strip() == "hello"
        assert pods.run(f"on-{node.name}", "print(6 * 7)") == "42"


def running(cluster: Cluster) -> list[Node]:
    """The nodes that are on: another file's may be off by now."""
    return [node for node in cluster.nodes if node.is_running()]


def _sleep() -> str:
    return "import time; time.sleep(600)"


def test_services_reach_pods_of_other_nodes_and_of_their_own(cluster: Cluster, pods: Any) -> None:
    pods.start("served", "spot-a")
    pods.start("asking", "spot-b", _sleep())
    cluster.kubectl("expose", "pod", "served", "--port=80", "--target-port=8000")
    pods.until(
        "the service has its pod",
        lambda: "8000" in cluster.kubectl("get", "endpointslices", "-o", "wide"),
    )
    ask = f"{ASK}\nprint(status('http://served.default.svc'))"
    pods.until("another node's pod is reached", lambda: pods.run("asking", ask) == "200", 10)
    pods.until("its own node's pod is reached", lambda: pods.run("served", ask) == "200", 10)
    cluster.kubectl("delete", "service", "served")


def test_names_outside_the_cluster_do_not_exist(pods: Any) -> None:
    pods.start("asking", "spot-a", _sleep())
    code = """
import socket
try:
    print(socket.gethostbyname("example.com"))
except socket.gaierror as error:
    print(error.errno == socket.EAI_NONAME)
"""
    assert pods.run("asking", code) == "True"


def test_nothing_outside_the_cluster_is_reached(pods: Any) -> None:
    pods.start("asking", "on-demand-a", _sleep())
    answer = pods.run("asking", f"{ASK}\nprint(status('http://192.0.2.1', timeout=1))")
    assert answer in {"URLError", "TimeoutError"}


def test_the_object_store_is_reached_from_pods_and_from_here(cluster: Cluster, pods: Any) -> None:
    pods.start("asking", "spot-a", _sleep())
    refused_without_keys = "403"
    url = f"{cluster.s3.endpoint}/{cluster.s3.bucket}"
    assert pods.run("asking", f"{ASK}\nprint(status({url!r}))") == refused_without_keys
    with pytest.raises(urllib.error.HTTPError, match=refused_without_keys):
        urllib.request.urlopen(url, timeout=5)  # noqa: S310 (our own server)


def test_a_server_of_this_machine_is_reached_from_pods(cluster: Cluster, pods: Any) -> None:
    pods.start("asking", "spot-a", _sleep())
    with http.server.HTTPServer((cluster.host_address, 0), Greeting) as server:
        threading.Thread(target=server.handle_request).start()
        url = f"http://{cluster.host_address}:{server.server_port}/"
        assert pods.run("asking", f"{ASK}\nprint(status({url!r}))") == "204"


class Greeting(http.server.BaseHTTPRequestHandler):
    """Answers without a word."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


def test_spot_nodes_say_who_they_are_to_those_with_a_token(cluster: Cluster, pods: Any) -> None:
    pods.start("asking", "spot-a", _sleep())
    boot = cluster.node("spot-a").boot_id.replace("-", "")
    code = f"""{ASK}
asked = {{"X-aws-ec2-metadata-token": token()}}
print(metadata("meta-data/instance-id", **asked), metadata("meta-data/instance-type", **asked),
      metadata("meta-data/placement/availability-zone", **asked),
      status("http://169.254.169.254/latest/meta-data/instance-id"))
"""
    assert pods.run("asking", code) == f"i-{boot[:17]} g5.xlarge eu-west-1a 401"


def test_on_demand_nodes_have_no_metadata_service(pods: Any) -> None:
    pods.start("asking", "on-demand-a", _sleep())
    answer = pods.run("asking", f"{ASK}\nprint(status('http://169.254.169.254', timeout=1))")
    assert answer in {"URLError", "TimeoutError"}


def test_nodes_look_as_the_clouds_do(cluster: Cluster) -> None:
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    seen = {node["metadata"]["name"]: node for node in nodes}
    for node in running(cluster):
        found = seen[node.name]
        assert node.spec.labels.items() <= found["metadata"]["labels"].items()
        taints = [tuple(sorted(taint.items())) for taint in found["spec"].get("taints", [])]
        assert sorted(taints) == sorted(tuple(sorted(taint.items())) for taint in node.spec.taints)
        assert found["status"]["allocatable"]["nvidia.com/gpu"] == "1"
        assert found["status"]["nodeInfo"]["bootID"] == node.boot_id
    assert len({node.boot_id for node in cluster.nodes}) == len(cluster.nodes)
