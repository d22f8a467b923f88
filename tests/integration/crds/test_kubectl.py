"""What a person at a terminal does with our kinds."""

import re

import pytest
from gen_crds import CRDS, manifests
from integration.crds.conftest import Kubectl
from integration.crds.world import JOBS, Api
from kit.manifests.good import NAMESPACE, a_full_job, a_full_policy

pytestmark = pytest.mark.apiserver

STATUS = {
    "state": "Created",
    "attempt": 3,
    "progress": {"step": 400},
    "totals": {"interruptions": 2},
    "budgets": {"interruptions": {"used": 2}, "failures": {"used": 1}},
    "policy": {"name": "experiment"},
    "checkpoint": {
        "newest": {"attempt": 3, "step": 390, "id": "c", "committedAt": "2026-01-01T00:00:00Z"}
    },
    "completionTime": "2026-01-01T00:00:00Z",
    "ranks": [
        {"rank": 0, "uid": "u", "node": {"name": "spot-a", "uid": "n", "bootID": "b"}},
    ],
    "conditions": [
        {
            "type": kind,
            "status": "Unknown",
            "reason": reason,
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, reason in (
            ("Succeeded", "InProgress"),
            ("Running", "ReportsSilent"),
            ("CheckpointsHealthy", "Committed"),
        )
    ],
}


def test_the_definitions_are_applied_again_without_a_change(
    served_crds: str, kubectl: Kubectl
) -> None:
    """So the annotation that plain `kubectl apply` compares with was stored."""
    said = kubectl("apply", "--warnings-as-errors", "-f", str(CRDS))
    assert said.count("unchanged") == len(manifests())


async def test_the_columns_tell_where_a_job_stands(api: Api, kubectl: Kubectl) -> None:
    stored = await api.created(a_full_job())
    name = stored["metadata"]["name"]
    await api.client.replace_status(JOBS, {**stored, "status": STATUS})
    head, row = kubectl("get", "stj", name, "-n", NAMESPACE, "-o", "wide").splitlines()
    columns = [
        "NAME", "STATE", "ATTEMPT", "STEP", "SAVED", "INTERRUPTIONS", "FAILURES", "REASON",
        "POLICY", "FINISHED", "AGE", "RUNNING", "CHECKPOINTS", "NODE",
    ]  # fmt: skip
    assert head.split() == columns
    told = dict(zip(columns, row.split(), strict=True))
    age = re.compile(r"\d+[smhdy]\w*")
    assert all(age.fullmatch(told.pop(one)) for one in ("SAVED", "FINISHED", "AGE"))
    assert list(told.values()) == [
        name, "Created", "3", "400", "2", "1", "InProgress", "experiment", "ReportsSilent",
        "Committed", "spot-a",
    ]  # fmt: skip
    assert kubectl("get", "stj", name, "-n", NAMESPACE).splitlines()[0].split() == columns[:11]


async def test_a_job_that_goes_on_has_no_time_of_its_end(api: Api, kubectl: Kubectl) -> None:
    stored = await api.created(a_full_job())
    name = stored["metadata"]["name"]
    path = "jsonpath={.status.completionTime}"
    assert kubectl("get", "stj", name, "-n", NAMESPACE, "-o", path) == ""
    (_, row) = kubectl("get", "stj", name, "-n", NAMESPACE).splitlines()
    assert name in row


async def test_one_word_lists_every_kind(api: Api, kubectl: Kubectl) -> None:
    job = await api.created(a_full_job())
    policy = await api.created(a_full_policy())
    listed = kubectl("get", "spot-training", "-n", NAMESPACE, "-o", "name").split()
    assert f"spottrainingjob.spottraining.dev/{job['metadata']['name']}" in listed
    assert f"spotpolicy.spottraining.dev/{policy['metadata']['name']}" in listed
    assert policy["metadata"]["name"] in kubectl("get", "spol")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("spottrainingjobs.spec.checkpoint.interval", "takes effect with the next attempt"),
        ("spottrainingjobs.spec.template.spec.containers.image", "Container image name"),
        ("spottrainingjobs.status.time.buckets.replayed", "Steps done again"),
        ("spotpolicies.spec.backoff.jitter", "evenly between 0 and its length"),
    ],
)
def test_fields_are_explained(served_crds: str, kubectl: Kubectl, path: str, says: str) -> None:
    assert says in " ".join(kubectl("explain", path).split())
