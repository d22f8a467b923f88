"""One small cluster for the tests of the local cluster itself."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from toolchain.layout import cache_from

from cluster import Cluster, Node

Object = dict[str, Any]
IMAGES = cache_from(os.environ).images
SERVE = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8000)"


@pytest.fixture(scope="session")
def base() -> Path:
    """The archive of an image with Python in it."""
    return IMAGES / "base.tar"


@pytest.fixture(scope="package")
def cluster(base: Path) -> Iterator[Cluster]:
    with Cluster.up(
        "clt", nodes="spot=2,on-demand=1", images=[base], grace_seconds=12, replace=True
    ) as up:
        yield up


@dataclass(frozen=True)
class Pods:
    """Pods of the cluster, each on the node that is asked for."""

    cluster: Cluster
    until: Callable[..., None]

    def start(
        self, name: str, node: str, code: str = SERVE, memory: str = "", grace: int = 0
    ) -> None:
        """A pod that runs the code; returns when it is ready. `grace` in seconds."""
        limits = {"nvidia.com/gpu": 1, **({"memory": memory} if memory else {})}
        image = json.loads((IMAGES / "base.json").read_text())["reference"]
        container = {"name": "main", "image": image, "command": ["python3", "-u", "-c", code]}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": node},
                "tolerations": [{"operator": "Exists"}],
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": grace,
                "containers": [{**container, "resources": {"limits": limits}}],
            },
        }
        self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
        self.cluster.kubectl(
            "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", within=90
        )

    def run(self, name: str, code: str) -> str:
        """What the code prints in the pod."""
        return self.cluster.kubectl("exec", "-i", name, "--", "python3", "-", stdin=code).strip()

    def phase(self, name: str) -> str:
        return str(self.get("pod", name)["status"]["phase"])

    def get(self, kind: str, name: str) -> Object:
        found: Object = json.loads(self.cluster.kubectl("get", kind, name, "-o", "json"))
        return found

    def delete(self, *names: str) -> None:
        self.cluster.kubectl("delete", "pod", *names, "--force", "--ignore-not-found")


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for a condition, with a limit in seconds."""

    def wait(what: str, condition: Callable[[], bool], within: float = 30) -> None:
        limit = time.monotonic() + within
        while not condition():
            assert time.monotonic() < limit, f"{what}: not within {within} s"
            time.sleep(0.1)

    return wait


@pytest.fixture
def pods(cluster: Cluster, until: Callable[..., None]) -> Iterator[Pods]:
    pods = Pods(cluster, until)
    yield pods
    cluster.kubectl("delete", "pods", "--all", "--force", "--wait=true")


@pytest.fixture
def node(cluster: Cluster) -> Iterator[Node]:
    """A spot node to hurt; on again, plugged in and quiet afterwards."""
    node = cluster.node("spot-b")
    yield node
    if node.is_running():
        node.heal()
        node.withdraw()
    else:
        node.return_()
