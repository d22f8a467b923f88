"""What a job's trainer, image, store and user can do, on real kubelets: one scenario each."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from itertools import pairwise

import pytest
from kit.clustertrainers import EXITS_0_ON_NOTICE, EXITS_1, REFUSES, apply, manifest, policy, steps
from stage.install import Stage
from stage.job import WatchedJob
from stage.steplog import StepLog
from stage.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.together, pytest.mark.timeout(600)]


def test_a_failing_trainer_is_retried_after_growing_waits_then_given_up(world: Stage) -> None:
    job = apply(world, "exits-1", EXITS_1)
    found = job.until_condition("Succeeded", "False", within=180)
    assert found["reason"] == "FailuresExhausted"
    assert "TrainerFailed: the trainer exited with 1" in found["message"]
    assert "quick allows 2 failures" in found["message"]
    records = job.status["attempts"]
    assert [record["ending"] for record in records] == ["TrainerFailed"] * 3
    assert {record["lastLines"] for record in records} == {"no such data set"}
    assert [phase(job.pod(number)) for number in (1, 2, 3)] == ["Failed"] * 3, "for kubectl logs"
    waits = [
        seconds_between(before["endedAt"], after["createdAt"])
        for before, after in pairwise(records)
    ]
    assert waits[0] >= 2
    assert waits[1] >= 4


def test_a_refusal_is_never_retried(world: Stage) -> None:
    job = apply(world, "refuses", REFUSES)
    found = job.until_condition("Succeeded", "False", reason="TrainerRefused", within=120)
    assert "the data set has no labels" in found["message"]
    assert job.status["attempt"] == 1


def test_exit_0_after_a_notice_without_marker_is_no_success(world: Stage) -> None:
    job = apply(world, "leaves", EXITS_0_ON_NOTICE)
    until("it runs", lambda: job.condition("Running"), within=60)
    until(
        "the pod runs",
        lambda: (job.pod(1) or {}).get("status", {}).get("phase") == "Running",
        within=60,
    )
    world.kube.delete("pod", "leaves-1-0")
    record = job.until_ending(1, within=90)
    assert record["ending"] != "Completed"
    assert job.condition("Succeeded")["status"] == "Unknown"
    world.kube.delete("spottrainingjobs", "leaves")


def test_a_missing_image_fails_fast_and_says_so(world: Stage) -> None:
    described = manifest(EXITS_1)
    described["spec"]["template"]["spec"]["containers"][0] |= {
        "image": "spot-training-nowhere:none",
        "imagePullPolicy": "Never",
    }
    world.kube.apply(world.job(described, "no-image", policyName="quick"))
    job = WatchedJob(world.kube, "no-image")
    record = job.until_ending(1, within=60)
    assert record["ending"] == "StartFailed"
    assert "spot-training-nowhere:none" in record["message"]
    job.until_condition("Succeeded", "False", within=120)


def test_an_unreachable_store_is_waited_for_and_never_means_starting_from_zero(
    world: Stage,
) -> None:
    described = world.job(manifest(steps()), "no-store", policyName="quick")
    described["spec"]["checkpoint"]["store"]["s3"]["endpointURL"] = "http://198.18.255.254:9"
    world.kube.apply(described)
    job = WatchedJob(world.kube, "no-store")
    found = job.until_condition(
        "CheckpointsHealthy", "False", reason="StoreUnreachable", within=150
    )
    assert "198.18.255.254" in found["message"]
    assert job.status["attempt"] == 1
    assert not job.status.get("progress", {}).get("step")
    world.kube.delete("spottrainingjobs", "no-store")


def test_a_wiped_bucket_stops_the_job_instead_of_starting_from_zero(world: Stage) -> None:
    job = apply(world, "wiped", steps(epochs=50))
    job.until_commits(1, 1, within=120)
    with closing(StepLog(world.kube, "wiped")) as log:
        world.kube.merge("spottrainingjobs", "wiped", {"spec": {"suspend": True}})
        job.until_condition("Suspended", "True", within=90)
        assert world.bucket.wipe(job.lineage("e2e")) > 0
        world.kube.merge("spottrainingjobs", "wiped", {"spec": {"suspend": False}})
        job.until_condition("Succeeded", "False", reason="NoValidCheckpoint", within=120)
        assert log.last_step(2) == 0


def test_a_job_deleted_while_running_leaves_nothing(world: Stage) -> None:
    job = apply(world, "deleted", steps(epochs=50))
    job.until_commits(1, 1, within=120)
    uid = job.read()["metadata"]["uid"]
    world.kube.delete("spottrainingjobs", "deleted")
    until(
        "no pod is left",
        lambda: not world.kube.list("pods", f"spottraining.dev/job-uid={uid}"),
        within=90,
    )
    assert world.kube.get("spottrainingjobs", "deleted") is None


def test_a_suspended_job_saves_and_goes_on_where_it_was(world: Stage) -> None:
    adaptive = {"interval": "Adaptive", "maxLostWork": "30s"}
    job = apply(world, "suspended", steps(epochs=3), checkpoint=adaptive)
    with closing(StepLog(world.kube, "suspended")) as log:
        job.until_commits(1, 1, within=120)
        world.kube.merge("spottrainingjobs", "suspended", {"spec": {"suspend": True}})
        job.until_condition("Suspended", "True", within=90)
        assert job.record(1)["ending"] == "Suspended"
        assert job.status["budgets"]["interruptions"]["used"] == 0
        world.kube.merge("spottrainingjobs", "suspended", {"spec": {"suspend": False}})
        job.until_condition("Succeeded", "True", within=180)
        assert log.repeated({1, 2}) == []
        assert log.missing({1, 2}) == []
    job.until_condition("LossBoundFeasible", "True", within=30)
    found = job.status["checkpoint"]["interval"]
    assert found["bounds"]["maxLostWork"] == 30.0
    assert 5.0 <= found["seconds"] < 30.0
    assert found["inputs"]["saves"] >= 2


def test_the_policy_is_the_one_that_lists_the_priority_class(world: Stage) -> None:
    world.kube.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "nightly"},
            "value": 1000,
        },
        policy("for-nightly", priorityClassNames=["nightly"], failures={"max": 0}),
    )
    described = world.job(manifest(EXITS_1, priorityClassName="nightly"), "by-class")
    world.kube.apply(described)
    job = WatchedJob(world.kube, "by-class")
    job.until_condition("Succeeded", "False", reason="FailuresExhausted", within=120)
    assert job.status["policy"]["name"] == "for-nightly"
    assert job.status["attempt"] == 1


def test_a_policy_named_wrongly_means_no_pods_and_a_message(world: Stage) -> None:
    job = apply(world, "wrong-policy", EXITS_1, policyName="no-such-policy")
    found = job.until_condition("Succeeded", "Unknown", reason="PolicyNotFound", within=30)
    assert "no-such-policy" in found["message"]
    assert job.status.get("attempt", 0) == 0
    world.kube.delete("spottrainingjobs", "wrong-policy")


def test_a_policy_named_without_right_means_no_pods_and_a_message(world: Stage) -> None:
    world.kube.apply(policy("others-only", allowedNamespaces=["elsewhere"]))
    job = apply(world, "no-right", EXITS_1, policyName="others-only")
    found = job.until_condition("Succeeded", "Unknown", reason="PolicyNotAllowed", within=30)
    assert "others-only" in found["message"]
    assert job.status.get("attempt", 0) == 0
    world.kube.delete("spottrainingjobs", "no-right")


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one RFC 3339 time to another."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def phase(pod: dict[str, dict[str, str]] | None) -> str:
    """The pod's phase; empty when there is none."""
    return (pod or {}).get("status", {}).get("phase", "")
