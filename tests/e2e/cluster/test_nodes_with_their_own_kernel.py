"""A node that is a machine of its own: cgroup v2, its own clock, real power cuts and shutdowns.

On the other nodes of the local cluster none of this can be seen: they share this machine's kernel.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster import Cluster, PreconditionError, UmlNode
from cluster.cli import main

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

BEAT = "import time\nwhile True: print(time.time(), flush=True); time.sleep(0.5)"
METADATA = """
import urllib.request
base = "http://169.254.169.254/latest/"
ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
asked = urllib.request.Request(base + "api/token", method="PUT", headers=ttl)
token = urllib.request.urlopen(asked, timeout=5).read().decode()
asked = urllib.request.Request(
    base + "meta-data/spot/instance-action", headers={"X-aws-ec2-metadata-token": token})
print(urllib.request.urlopen(asked, timeout=5).read().decode())
"""
TWO_PROCESSES = """
import os, signal, time
if os.fork() == 0:
    for _ in range(100): time.sleep(0.1)
    held = [bytearray(os.urandom(2**20) * 16) for _ in range(16)]
    time.sleep(600)
signal.pause()
"""
"""Process 1 waits; its child takes 256 MiB."""
ENDS_ON_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
while True: time.sleep(0.5)
"""


@pytest.fixture(scope="module")
def own(cluster: Cluster) -> Iterator[UmlNode]:
    """The node; off at the end, so that it takes no time of other tests."""
    node = cluster.add_node("uml-a", "uml")
    assert isinstance(node, UmlNode)
    yield node
    node.kill()


@pytest.fixture
def node(own: UmlNode) -> UmlNode:
    """The node, on and with the right clock."""
    if not own.is_running():
        own.return_()
    return own


def test_it_has_its_own_kernel_and_what_every_node_has(
    cluster: Cluster, pods: Any, node: UmlNode
) -> None:
    found = pods.get("node", node.name)
    assert found["status"]["nodeInfo"]["kernelVersion"] != platform.release()
    assert found["status"]["nodeInfo"]["bootID"] == node.boot_id
    assert found["status"]["allocatable"]["nvidia.com/gpu"] == "1"
    assert node.run("stat -fc %T /sys/fs/cgroup").strip() == "cgroup2fs"
    pods.start("elsewhere", "spot-a")
    pods.start("on-it", node.name, BEAT)
    cluster.kubectl("expose", "pod", "elsewhere", "--port=80", "--target-port=8000")
    ask = "import urllib.request as r; print(r.urlopen('http://elsewhere.default.svc').status)"
    pods.until("a service is reached by name", lambda: _answered(pods, ask) == "200")
    deadline = node.notice(120)
    heard = json.loads(pods.run("on-it", METADATA))
    assert heard["time"] == deadline.strftime("%Y-%m-%dT%H:%M:%SZ")
    node.withdraw()
    cluster.kubectl("delete", "service", "elsewhere")


def _answered(pods: Any, ask: str) -> str:
    try:
        return str(pods.run("on-it", ask))
    except Exception as error:  # noqa: BLE001 (the service has no pod yet)
        return str(error)


def test_out_of_memory_ends_every_process_of_the_container(
    cluster: Cluster, pods: Any, node: UmlNode
) -> None:
    pods.start("eats", node.name, TWO_PROCESSES, memory="96Mi")
    pods.until("it has ended", lambda: pods.phase("eats") == "Failed", 60)
    (status,) = pods.get("pod", "eats")["status"]["containerStatuses"]
    ended = status["state"]["terminated"]
    assert ended["exitCode"] == 137
    # With systemd's cgroups containerd may come too late to read the kernel's word (issue 8893).
    assert ended["reason"] in {"OOMKilled", "Error"}


def test_a_stall_of_the_hypervisor_ends_nothing(pods: Any, node: UmlNode) -> None:
    pods.start("stalled", node.name, BEAT)
    node.freeze()
    pods.until("the node is called unreachable", lambda: _ready(pods, node) == "Unknown", 60)
    node.thaw()
    pods.until("the node is ready again", lambda: _ready(pods, node) == "True", 60)
    assert pods.phase("stalled") == "Running"
    (status,) = pods.get("pod", "stalled")["status"]["containerStatuses"]
    assert status["restartCount"] == 0


def test_a_power_cut_leaves_a_status_that_says_nothing(pods: Any, node: UmlNode) -> None:
    pods.start("cut", node.name, BEAT)
    # Without it containerd's note that the container was started could be lost as well: then the
    # pod stays Pending, with a container that waits without a reason.
    node.run("sync")
    before, cut_at = node.boot_id, datetime.now(UTC)
    node.kill()
    assert not node.is_running()
    assert pods.phase("cut") == "Running"
    node.return_()
    assert node.boot_id != before
    pods.until("its pod has ended", lambda: pods.phase("cut") == "Failed", 60)
    (status,) = pods.get("pod", "cut")["status"]["containerStatuses"]
    ended = status["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("Unknown", 255)
    # The time of its recovery, not of its death.
    assert datetime.fromisoformat(ended["finishedAt"]) > cut_at


def test_a_graceful_shutdown_tells_before_the_machine_ends(pods: Any, node: UmlNode) -> None:
    pods.start("told", node.name, ENDS_ON_SIGTERM, grace=10)
    node.shut_down()
    status = pods.get("pod", "told")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
    (disruption,) = [c for c in status["conditions"] if c["type"] == "DisruptionTarget"]
    assert (disruption["status"], disruption["reason"]) == ("True", "TerminationByKubelet")
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7


def test_a_panic_ends_the_machine(node: UmlNode) -> None:
    node.panic()
    assert not node.is_running()
    assert "sysrq" in node.machine.log_tail("linux.uml", 60)


# After the stall: the control plane takes a node whose lease was renewed in the future for healthy.
def test_a_wrong_clock_is_its_own(cluster: Cluster, pods: Any, node: UmlNode) -> None:
    node.set_clock(600)
    pods.start("ahead", node.name, BEAT)
    (status,) = pods.get("pod", "ahead")["status"]["containerStatuses"]
    started = datetime.fromisoformat(status["state"]["running"]["startedAt"])
    assert (started - datetime.now(UTC)).total_seconds() > 500
    assert abs(float(pods.run("ahead", "import time; print(time.time())")) - time.time()) > 500
    node.set_clock(0)
    assert abs(node.clock_ahead()) < 5


def test_other_nodes_have_no_clock_of_their_own(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["node", "clock", "spot-a", "--id", cluster.id, "--ahead=-10m"]) == 1
    assert "uml=1" in capsys.readouterr().err
    with pytest.raises(PreconditionError, match="uml"):
        cluster.add_node("odd", "kvm")


def _ready(pods: Any, node: UmlNode) -> str:
    conditions = pods.get("node", node.name)["status"]["conditions"]
    return str(next(each["status"] for each in conditions if each["type"] == "Ready"))
