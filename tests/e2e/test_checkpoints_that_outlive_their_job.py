"""A job is deleted, created again, told to go on, and at last deleted with its checkpoints."""

from __future__ import annotations

from typing import Any

import pytest
from kit.clustertrainers import apply, steps
from stage.install import Stage
from stage.job import WatchedJob
from stage.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.together, pytest.mark.timeout(300)]

Object = dict[str, Any]
NAME = "once-more"
PREFIX = "e2e"


def reasons(world: Stage) -> set[str]:
    return {one["reason"] for one in world.kube.list("events.events.k8s.io")}


def deleted(world: Stage, job: WatchedJob) -> None:
    world.kube.delete("spottrainingjob", job.name)
    until(f"{job.name} is gone", lambda: not job.read(), within=120, seen=job.summary)
    selector = f"spottraining.dev/job={job.name}"
    until("its last pod is gone", lambda: not world.kube.list("pods", selector), within=60)


def test_checkpoints_stay_are_gone_on_from_and_go(world: Stage) -> None:
    first = apply(world, NAME, steps(epochs=50))
    first.until_commits(1, 1, within=120)
    lineage = first.lineage(PREFIX)
    uid = first.read()["metadata"]["uid"]
    deleted(world, first)
    kept = world.bucket.keys(lineage)
    assert world.bucket.manifests(lineage)

    heir = {"resumeFrom": {"name": NAME, "uid": uid}, "deletionPolicy": "Delete"}
    second = apply(world, NAME, steps(epochs=50), checkpoint=heir)
    second.until_commits(1, 1, within=120)
    assert second.record(1)["inherited"] is True
    assert second.record(1)["resumedFrom"]["step"] > 0
    own = second.lineage(PREFIX)
    assert world.bucket.manifests(own)
    deleted(world, second)
    assert world.bucket.keys(own) == []
    assert world.bucket.keys(lineage) == kept
    assert "CheckpointsDeleted" in reasons(world)
