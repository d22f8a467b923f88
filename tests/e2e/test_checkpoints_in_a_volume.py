"""A claim instead of a bucket, mounted by real kubelets on one node after another."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from kit.clustertrainers import manifest, steps
from spot_training.checkpoint import keys
from spot_training.checkpoint.stores.directory import DirectoryStore
from stage.install import NAMESPACE, Stage
from stage.job import WatchedJob

pytestmark = [pytest.mark.cluster, pytest.mark.together, pytest.mark.timeout(300)]

Object = dict[str, Any]
NAME = "in-a-volume"
SIDECAR = 65532


def claim_of(folder: Path) -> list[Object]:
    """A claim bound to a folder that every node sees, as a network volume is."""
    common: Object = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": NAME},
            "spec": {
                **common,
                "capacity": {"storage": "1Gi"},
                "hostPath": {"path": str(folder), "type": "Directory"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": NAME},
            "spec": {
                **common,
                "volumeName": NAME,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    ]


def test_a_volume_is_asked_for_given_and_resumed_from(world: Stage) -> None:
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer) / "volume"
        folder.mkdir(mode=0o755)
        for made in claim_of(folder):
            world.kube.apply(made)
        described = world.job(manifest(steps(epochs=3)), NAME, policyName="quick")
        described["spec"]["checkpoint"]["store"] = {"volume": {"claimName": NAME, "path": "runs"}}
        world.kube.apply(described)
        job = WatchedJob(world.kube, NAME)
        found = job.until_condition("CheckpointsHealthy", "False", reason="StoreDenied", within=120)
        assert f"user {SIDECAR}" in found["message"]
        assert "fsGroup" in found["message"]
        os.chown(folder, 0, SIDECAR)
        folder.chmod(0o2775)
        job.until_commits(1, 1, within=120)
        world.kube.delete("pod", f"{NAME}-1-0")
        job.until_condition("Succeeded", "True", within=180)
        first, second = job.status["attempts"]
        assert first["ending"] != "Completed"
        assert second["resumedFrom"]["step"] > 0
        uid = job.read()["metadata"]["uid"]
        lineage = keys.lineage_prefix("runs", NAMESPACE, NAME, uid)
        assert DirectoryStore(folder / lineage).list(keys.MARKERS) == (keys.marker(2),)
