"""What is right is taken, stored as it was written, and filled up with the documented defaults."""

import json

import pytest
from gen_crds import manifests
from integration.crds.world import JOBS, Api
from kit.filled import filled
from kit.manifests import accepted
from kit.manifests.bounds import Bounded, job_bounds, policy_bounds
from kit.manifests.good import a_full_job, a_full_policy, a_job_for, a_script_job
from kit.manifests.paths import ABSENT, changed, value_at
from spot_operator.api.job import JobSpec
from spot_operator.api.policy import PolicySpec
from spot_operator.control.client import Json
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.state.status import status_of

pytestmark = pytest.mark.apiserver

JOB_CRD, POLICY_CRD = manifests().values()
MINIMAL_SPEC = {
    "template": {"spec": {"containers": [{"name": "main", "image": "digits:1"}]}},
    "checkpoint": {"store": {"s3": {"bucket": "checkpoints"}}},
}


def _name(changes: accepted.Changes) -> str:
    return ",".join(f"{path}={'' if value is ABSENT else value}" for path, value in changes.items())


def _allowed(bounds: list[Bounded]) -> list[accepted.Changes]:
    return [{one.path: value} for one in bounds for value in one.allowed]


@pytest.mark.parametrize("changes", accepted.JOBS, ids=_name)
async def test_a_job(api: Api, changes: accepted.Changes) -> None:
    manifest = changed(a_full_job(), changes)
    stored = await api.tried(manifest)
    expect_kept(manifest["spec"], stored["spec"])
    JobSpec.model_validate(stored["spec"])


@pytest.mark.parametrize("changes", accepted.POLICIES, ids=_name)
async def test_a_policy(api: Api, changes: accepted.Changes) -> None:
    manifest = changed(a_full_policy(), changes)
    stored = await api.tried(manifest)
    expect_kept(manifest["spec"], stored["spec"])
    PolicySpec.model_validate(stored["spec"])


@pytest.mark.parametrize("changes", accepted.JOB_UPDATES, ids=_name)
async def test_a_change_of_a_job(api: Api, changes: accepted.Changes) -> None:
    stored = await api.created(a_full_job())
    after = await api.replaced(stored, changes)
    expect_kept(changed(stored, changes)["spec"], after["spec"])


@pytest.mark.parametrize("changes", _allowed(job_bounds(JOB_CRD)), ids=lambda one: str(one)[:60])
async def test_a_job_at_a_bound(api: Api, changes: accepted.Changes) -> None:
    await api.tried(changed(a_job_for(*changes), changes))


@pytest.mark.parametrize("changes", accepted.SCRIPTS, ids=_name)
async def test_a_job_of_a_script_without_the_sdk(api: Api, changes: accepted.Changes) -> None:
    manifest = changed(a_script_job(), changes)
    stored = await api.tried(manifest)
    expect_kept(manifest["spec"], stored["spec"])
    JobSpec.model_validate(stored["spec"])


@pytest.mark.parametrize(
    "changes", _allowed(policy_bounds(POLICY_CRD)), ids=lambda one: str(one)[:60]
)
async def test_a_policy_at_a_bound(api: Api, changes: accepted.Changes) -> None:
    await api.tried(changed(a_full_policy(), changes))


async def test_defaults_are_those_the_operator_assumes(api: Api) -> None:
    job = await api.tried(changed(a_full_job(), {"spec": MINIMAL_SPEC}))
    assert JobSpec.model_validate(job["spec"]) == JobSpec.model_validate(MINIMAL_SPEC)
    policy = await api.tried(changed(a_full_policy(), {"spec": {}}))
    assert PolicySpec.model_validate(policy["spec"]) == PolicySpec()


async def test_defaults_show_in_what_is_stored(api: Api) -> None:
    job = await api.tried(changed(a_full_job(), {"spec": MINIMAL_SPEC}))
    assert {key: value for key, value in job["spec"].items() if key not in MINIMAL_SPEC} == {
        "suspend": False,
        "completion": "Marker",
        "podCleanup": "KeepFailed",
    }
    checkpoint = job["spec"]["checkpoint"]
    assert checkpoint["interval"] == "Adaptive"
    assert checkpoint["staging"] == {"sizeLimit": "1Gi"}


async def test_a_template_is_stored_as_it_was_written(api: Api) -> None:
    """Quantities stay numbers where they were numbers, and labels are not lost."""
    resources = {"limits": {"nvidia.com/gpu": 1, "cpu": "500m", "memory": 1073741824}}
    claim = {
        "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    manifest = changed(
        a_full_job(),
        {
            "spec.template.spec.containers[0].resources": resources,
            "spec.template.spec.containers[0].ports[0]": {
                "containerPort": 53,
                "protocol": "UDP",
            },
            "spec.template.spec.volumes[1]": {
                "name": "scratch",
                "ephemeral": {"volumeClaimTemplate": claim},
            },
        },
    )
    stored = await api.created(manifest)
    read = await api.client.get(
        JOBS, stored["metadata"]["name"], namespace=stored["metadata"]["namespace"]
    )
    # The one thing added: a port's protocol, which is part of its key in the list.
    template = changed(read, {"spec.template.spec.initContainers[0].ports[0].protocol": ABSENT})
    template = changed(template, {"spec.template.spec.containers[1].ports[0].protocol": ABSENT})
    assert template["spec"]["template"] == manifest["spec"]["template"]
    gpus = value_at(read, "spec.template.spec.containers[0].resources.limits")["nvidia.com/gpu"]
    assert json.dumps(gpus) == "1"


async def test_a_full_status_is_stored_as_it_was_written(api: Api) -> None:
    """The server drops unknown fields of a status without a word: here it would show."""
    stored = await api.created(a_full_job())
    written = status_of(filled(Ledger))
    after = await api.client.replace_status(JOBS, {**stored, "status": written})
    assert after["status"] == written


def expect_kept(written: Json, stored: Json) -> None:
    """Everything written stands in what is stored; defaults may stand beside it."""
    for key, value in written.items():
        kept = stored[key]
        if isinstance(value, dict):
            expect_kept(value, kept)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            assert len(kept) == len(value)
            for one, other in zip(value, kept, strict=True):
                expect_kept(one, other)
        else:
            assert kept == value, key
