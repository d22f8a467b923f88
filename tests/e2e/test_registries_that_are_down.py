"""A registry that answers nobody, as real kubelets tell of it."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from cluster.process_node import ProcessNode
from kit.clustertrainers import manifest, steps
from stage.install import Stage
from stage.job import WatchedJob
from stage.steplog import StepLog
from stage.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.together]

DOWN_SECONDS = 600.0
IMAGE = "198.18.255.254:5000/trainer:1"
"""Of a registry that is not there: a node has this image only if somebody named one so."""


@pytest.mark.timeout(1500)
def test_a_job_with_checkpoints_waits_for_a_registry_that_is_down_for_ten_minutes(
    world: Stage,
) -> None:
    have(world, IMAGE)
    described = manifest(steps(epochs=3))
    described["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE
    world.kube.apply(world.job(described, "no-registry", policyName="quick"))
    job = WatchedJob(world.kube, "no-registry")
    with closing(StepLog(world.kube, "no-registry")) as log:
        job.until_commits(1, 1, within=120)
        lose(world, IMAGE)
        world.kube.delete("pod", "no-registry-1-0")
        job.until_ending(1, within=90)
        expect_patience(job, seconds=DOWN_SECONDS)
        have(world, IMAGE)
        job.until_condition("Succeeded", "True", within=600)
        assert log.missing(set(range(1, job.status["attempt"] + 1))) == []
    assert job.status["budgets"]["failures"]["used"] == 0
    assert job.status["budgets"]["interruptions"]["used"] == 1


def expect_patience(job: WatchedJob, *, seconds: float) -> None:
    """The job says what it waits for, charges nothing and is not over, for so long."""
    found = until(
        "the job names the image it waits for",
        lambda: said if IMAGE in (said := job.condition("Succeeded")).get("message", "") else None,
        within=120,
        seen=job.summary,
    )
    assert "spec.template" not in found["message"], "the template has not changed, and worked"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = job.status
        assert status["state"] != "Finished", job.summary()
        assert status["budgets"]["failures"]["used"] == 0, job.summary()
        time.sleep(5)


def have(world: Stage, name: str) -> None:
    """Every node that runs has the trainer's image under this name."""
    for node in running(world):
        node.name_image(world.trainer_image, name)


def lose(world: Stage, name: str) -> None:
    """No node has it any more."""
    for node in running(world):
        node.forget_image(name)


def running(world: Stage) -> list[ProcessNode]:
    """The nodes that are on."""
    every = world.cluster.nodes
    return [node for node in every if isinstance(node, ProcessNode) and node.is_running()]
