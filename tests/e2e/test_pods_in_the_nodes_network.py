"""Training in the network of the node, as some InfiniBand set-ups need it."""

from __future__ import annotations

from typing import Any

import pytest
from kit.clustertrainers import manifest, steps
from stage.install import Stage
from stage.job import WatchedJob

pytestmark = [pytest.mark.cluster, pytest.mark.together, pytest.mark.timeout(500)]

Object = dict[str, Any]


def begun(stage: Stage, name: str, script: str, **template: Any) -> WatchedJob:
    made = manifest(script, hostNetwork=True, **template)
    stage.kube.apply(stage.job(made, name, policyName="quick"))
    return WatchedJob(stage.kube, name)


def test_a_pod_in_the_nodes_network_reports_saves_and_completes(world: Stage) -> None:
    """One whose node has such a pod already waits, for both would need the sidecar's port."""
    job = begun(world, "on-the-node", steps(epochs=30))
    node = job.until_placed(1, within=120)
    second = begun(world, "beside-it", steps(), nodeSelector={"kubernetes.io/hostname": node})
    job.until_condition("Running", "True", within=180)
    job.until_commits(1, 1, within=120)
    pod = job.pod(1) or {}
    assert pod["status"]["podIP"] == pod["status"]["hostIP"]
    found = second.until_condition("CapacityAvailable", "False", within=120)
    assert "ports" in found["message"]
    job.kube.delete("pod", pod["metadata"]["name"])
    job.until_ending(1, within=120)
    for each in (second, job):
        each.until_condition("Succeeded", "True", within=300)
    assert [one["ending"] for one in second.status["attempts"]] == ["Completed"]
