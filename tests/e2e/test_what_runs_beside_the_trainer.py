"""What runs beside the trainer, and a trainer that stays after its last word, on real kubelets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.clustertrainers import EXITS_1, apply, manifest, steps
from stage.install import Stage
from stage.job import WatchedJob
from stage.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.together, pytest.mark.timeout(700)]

Object = dict[str, Any]

STAYS = steps() + "time.sleep(86_400)\n"
KIND = "admissionregistration.k8s.io/v1"
FOREVER = 'command: ["python3", "-c", "import time; time.sleep(86400)"]'
"""As the first process of its container it does not heed SIGTERM."""


def injecting(job: str, image: str) -> tuple[Object, Object]:
    """What a mesh's webhook does to the pods of this job; purge pods carry the label as well."""
    proxy = f'Object.spec.containers{{name: "istio-proxy", image: "{image}", {FOREVER}}}'
    patch = f'JSONPatch{{op: "add", path: "/spec/containers/-", value: {proxy}}}'
    name = f"mesh-{job}.e2e"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    condition = f"object.metadata.?labels['spottraining.dev/job'].orValue('') == '{job}'"
    policy = {
        "apiVersion": KIND,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule | {"operations": ["CREATE"]}]},
            "matchConditions": [{"name": "of-the-job", "expression": condition}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{patch}]"}}],
        },
    }
    binding = {
        "apiVersion": KIND,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name},
    }
    return policy, binding


def injected(stage: Stage, name: str, script: str, **checkpoint: Any) -> WatchedJob:
    """A job with one container of any name, whose pods get another one."""
    stage.kube.apply(*injecting(name, stage.trainer_image))
    until("the API server injects", lambda: _injects(stage, name), within=60, every=1.0)
    made = manifest(script)
    made["spec"]["template"]["spec"]["containers"][0]["name"] = "main"
    made["spec"]["checkpoint"] |= checkpoint
    stage.kube.apply(stage.job(made, name, policyName="quick"))
    return WatchedJob(stage.kube, name)


def _injects(stage: Stage, job: str) -> bool:
    """A policy takes effect some time after it was stored: asked by a pod that is not stored."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"asks-{job}", "labels": {"spottraining.dev/job": job}},
        "spec": {"containers": [{"name": "main", "image": stage.trainer_image}]},
    }
    dry = ("create", "--dry-run=server", "--output", "json", "--filename", "-")
    return "istio-proxy" in stage.kube.run(*dry, stdin=json.dumps(pod))


def containers(job: WatchedJob, attempt: int) -> list[str]:
    pod = job.pod(attempt) or {"spec": {"containers": []}}
    return [one["name"] for one in pod["spec"]["containers"]]


def gone(job: WatchedJob) -> None:
    """No pod of the job holds a node any more."""
    until(
        f"the pods of {job.name} are gone",
        lambda: not job.kube.list("pods", f"spottraining.dev/job={job.name}"),
        within=120,
        seen=job.summary,
    )


def test_a_container_that_never_ends_does_not_hide_that_the_job_is_complete(world: Stage) -> None:
    job = injected(world, "meshed", steps(epochs=2))
    until("it is in the pod", lambda: "istio-proxy" in containers(job, 1), within=120)
    job.until_condition("Succeeded", "True", within=240)
    assert [record["ending"] for record in job.status["attempts"]] == ["Completed"]
    gone(job)


def test_a_container_that_never_ends_prolongs_no_failure(world: Stage) -> None:
    job = injected(world, "mesh-fails", EXITS_1)
    job.until_condition("Succeeded", "False", within=400)
    records = job.status["attempts"]
    assert [record["ending"] for record in records] == ["TrainerFailed"] * 3
    assert "deleted" not in records[0]["message"]


def test_a_container_that_never_ends_does_not_keep_checkpoints_from_being_deleted(
    world: Stage,
) -> None:
    job = injected(world, "mesh-purged", steps(epochs=50), deletionPolicy="Delete")
    job.until_commits(1, 1, within=180)
    lineage = job.lineage("e2e")
    world.kube.delete("spottrainingjobs", job.name)
    until("the job is gone", lambda: not job.read(), within=240, seen=job.summary)
    assert world.bucket.keys(lineage) == []


def test_a_process_that_stays_after_it_completed_the_job_is_ended(world: Stage) -> None:
    job = apply(world, "stays", STAYS)
    job.until_condition("Succeeded", "True", within=600)
    assert [record["ending"] for record in job.status["attempts"]] == ["Completed"]
    gone(job)
