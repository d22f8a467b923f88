"""Helm leaves the CRDs of the release before, while jobs train."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from e2e.removal.releases import OPERATORS, inside, only
from kit.clustertrainers import QUICK, apply, steps
from stage.install import PROJECT, Stage, add_namespace
from stage.job import WatchedJob
from stage.steplog import StepLog
from stage.waiting import until
from toolchain.layout import Cache

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

Object = dict[str, Any]
CRD = "spottrainingjobs.spottraining.dev"
WATCHED_SECONDS = 10


def test_training_goes_on_and_its_end_is_recorded_once_they_are_upgraded(
    own: Stage, cache: Cache
) -> None:
    team = replace(own, kube=add_namespace(own, "team-a"))
    only(own, cache, {"ops-a": "team-a"})
    own.kube.apply(QUICK)
    job = apply(team, "older", steps(epochs=4, pause=0.2))
    with closing(StepLog(team.kube, "older")) as log:
        job.until_commits(1, 1, within=120)
        outdate(own)
        restart(own, "ops-a")

        assert told(team, "CRDsOutdated")
        before = log.last_step(1)
        assert writes(job, seconds=WATCHED_SECONDS) < WATCHED_SECONDS / 2
        assert log.last_step(1) > before, "training goes on"
        # What it needs to record its end is among what is lost.
        said = job.until_condition("Succeeded", "Unknown", reason="CRDsOutdated", within=180)
        assert "kubectl" in said["message"]
        assert writes(job, seconds=WATCHED_SECONDS) < WATCHED_SECONDS / 2
        assert ready(own, "ops-a"), "a restart would mend nothing"

        own.kube.run("apply", "--server-side", "--force-conflicts", f"-f{PROJECT / 'crds'}")
        restart(own, "ops-a")
        job.until_condition("Succeeded", "True", within=120)
        assert [record["ending"] for record in job.status["attempts"]] == ["Completed"]
        assert log.repeated({1}) == []


def outdate(own: Stage) -> None:
    """The CRD of a release that knew nothing of two fields that decisions need."""
    definition = own.kube.get("crd", CRD)
    assert definition is not None
    status = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    del status["properties"]["stopping"]
    del status["properties"]["ranks"]["items"]["properties"]["trouble"]
    own.kube.run("replace", "--filename", "-", stdin=json.dumps(definition))


def restart(own: Stage, namespace: str) -> None:
    """As an upgrade of the operator does; else it asks again only after five minutes."""
    kube = inside(own, namespace)
    kube.run("rollout", "restart", "deployment")
    kube.run("rollout", "status", "deployment", "--timeout=120s", within=130)


def writes(job: WatchedJob, *, seconds: int) -> int:
    """In how many of so many seconds the job was written."""
    versions = []
    for _ in range(seconds):
        versions.append(job.read()["metadata"]["resourceVersion"])
        time.sleep(1)
    return len(set(versions)) - 1


def told(team: Stage, reason: str) -> bool:
    """Whether there is such an event, in a minute."""

    def found() -> list[Object]:
        return [one for one in team.kube.list("events") if one["reason"] == reason]

    return bool(until(f"an event {reason}", found, within=60))


def ready(own: Stage, namespace: str) -> bool:
    """Whether every replica of the release is."""
    pods = inside(own, namespace).list("pods", OPERATORS)
    states = [{one["type"]: one["status"] for one in pod["status"]["conditions"]} for pod in pods]
    return all(state["Ready"] == "True" for state in states)
