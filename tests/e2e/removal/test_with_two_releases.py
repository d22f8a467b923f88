"""Two releases with kubelets: each has its own jobs, and one that would share them waits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from e2e.removal.releases import OPERATORS, add, inside, installed, only, uninstall
from kit.clustertrainers import QUICK, apply, steps
from stage.install import Stage, add_namespace
from stage.job import WatchedJob
from stage.kube import Kube, KubectlError
from stage.waiting import until
from toolchain.layout import Cache

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

WATCHED = {"ops-a": "team-a", "ops-b": "team-b"}


def test_each_runs_the_jobs_of_its_own_namespaces_and_a_third_one_refuses(
    own: Stage, cache: Cache
) -> None:
    teams = {team: replace(own, kube=add_namespace(own, team)) for team in WATCHED.values()}
    only(own, cache, WATCHED)
    own.kube.apply(QUICK)
    jobs = {team: apply(stage, "one", steps(epochs=4)) for team, stage in teams.items()}
    nobodys = apply(own, "nobodys", steps())
    for job in jobs.values():
        job.until_commits(1, 1, within=180)

    add(own, cache, "ops-all", wait=False)
    expect_refusal(own, "ops-all", by="already watches")
    teams["team-b"].kube.delete("pod", "one-1-0")
    for job in jobs.values():
        job.until_condition("Succeeded", "True", within=240)

    assert [endings(jobs[team]) for team in ("team-a", "team-b")] == [
        ["Completed"],
        ["Paused", "Completed"],
    ]
    assert nobodys.status == {}, "no release watches its namespace"
    uninstall(own, cache, "ops-all")
    assert installed(own, cache) == set(WATCHED)
    after = apply(teams["team-a"], "after", steps())
    after.until_condition("Succeeded", "True", within=120)


def expect_refusal(own: Stage, namespace: str, *, by: str) -> None:
    """The release says why it does nothing, and is not ready."""
    kube = inside(own, namespace)
    until(
        f"the release in {namespace} refuses",
        lambda: by in logs(kube),
        within=120,
        seen=lambda: kube.run("get", "pods"),
    )
    (pod,) = kube.list("pods", OPERATORS)
    ready = {one["type"]: one["status"] for one in pod["status"]["conditions"]}["Ready"]
    restarts = pod["status"]["containerStatuses"][0]["restartCount"]
    assert (ready, restarts) == ("False", 0)


def logs(kube: Kube) -> str:
    """Of the operator; empty while it has not started."""
    try:
        return kube.run("logs", "--selector", OPERATORS, "--tail=-1")
    except KubectlError:
        return ""


def endings(job: WatchedJob) -> list[str]:
    """Of all attempts, the first one first."""
    return [record["ending"] for record in job.status["attempts"]]
