"""The operator goes away in the middle of things; the job loses nothing by it."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from kit.clustertrainers import apply, steps
from stage.install import Stage
from stage.job import WatchedJob
from stage.processes import sigkill
from stage.steplog import StepLog
from stage.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

Object = dict[str, Any]
DEPLOYMENT = "spot-training-operator"
OPERATORS = "app.kubernetes.io/component=operator"


def test_the_leader_is_killed_in_the_middle_of_a_recovery(world: Stage) -> None:
    job = apply(world, "leader-dies", steps(epochs=3))
    with closing(StepLog(world.kube, "leader-dies")) as log:
        job.until_commits(1, 1, within=90)
        leader = leading(world)

        world.kube.delete("pod", "leader-dies-1-0")
        # The trainer is saving now; nobody is there to see how its attempt ends.
        sigkill(leader["metadata"]["uid"], "spot_operator")

        expect_one_recovery(job, log)
    assert leading(world)["metadata"]["name"]


def test_both_replicas_are_down_for_the_length_of_a_recovery(world: Stage) -> None:
    job = apply(world, "nobody-home", steps(epochs=3))
    with closing(StepLog(world.kube, "nobody-home")) as log:
        job.until_commits(1, 1, within=90)

        world.operators.run("scale", "deployment", DEPLOYMENT, "--replicas=0")
        until("no operator runs", lambda: not operators(world), within=60)
        world.kube.delete("pod", "nobody-home-1-0")
        until("its pod is gone", lambda: job.pod(1) is None, within=60)
        assert job.status["attempt"] == 1
        world.operators.run("scale", "deployment", DEPLOYMENT, "--replicas=2")

        expect_one_recovery(job, log)


def expect_one_recovery(job: WatchedJob, log: StepLog) -> None:
    """The job completes in its second attempt; each step ran once; one interruption is charged."""
    job.until_condition("Succeeded", "True", within=180)
    status = job.status
    assert status["attempt"] == 2
    assert [record["number"] for record in status["attempts"]] == [1, 2]
    assert status["budgets"]["interruptions"]["used"] == 1
    assert status["budgets"]["failures"]["used"] == 0
    until("the whole log arrived", lambda: log.last_step(2) == 300, within=20)
    assert log.repeated({1, 2}) == []
    assert log.missing({1, 2}) == []


def operators(world: Stage) -> list[Object]:
    """The operator's pods."""
    return world.operators.list("pods", OPERATORS)


def leading(world: Stage) -> Object:
    """The pod that holds the Lease and is there."""

    def holder() -> Object | None:
        lease = world.operators.get("leases", DEPLOYMENT) or {}
        name = str(lease.get("spec", {}).get("holderIdentity") or "")
        return next((p for p in operators(world) if name.startswith(p["metadata"]["name"])), None)

    return until("somebody leads", holder, within=60)
