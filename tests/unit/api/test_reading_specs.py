"""Stored specs as the operator reads them."""

from datetime import timedelta

import pytest
from kit.manifests.good import a_full_job, a_full_policy
from pydantic import ValidationError
from spot_operator.api.job import Completion, JobSpec, NoneValid, PodCleanup
from spot_operator.api.policy import Jitter, PolicySpec
from spot_operator.api.validation import unreadable

MINIMAL = {"template": {"spec": {}}, "checkpoint": {"store": {"s3": {"bucket": "checkpoints"}}}}


def test_a_full_job() -> None:
    spec = JobSpec.model_validate(a_full_job()["spec"])
    s3 = spec.checkpoint.store.s3
    assert s3 is not None
    assert (s3.bucket, s3.prefix, s3.region) == ("checkpoints", "teams/vision", "eu-central-1")
    assert s3.endpoint_url == "https://minio.storage.svc:9000"
    assert s3.credentials_secret_name == "store-keys"
    assert spec.checkpoint.interval == timedelta(minutes=5)
    assert spec.checkpoint.staging.size_limit == 4 * 2**30
    assert spec.stall_timeout == timedelta(minutes=10)
    assert spec.ttl_seconds_after_finished == 3600
    assert spec.template == a_full_job()["spec"]["template"]


def test_a_minimal_job_has_the_documented_defaults() -> None:
    spec = JobSpec.model_validate(MINIMAL)
    assert not spec.suspend
    assert spec.checkpoint.interval == "Adaptive"
    assert spec.checkpoint.max_lost_work is None
    assert (spec.checkpoint.keep.newest, spec.checkpoint.keep.milestone_every) == (3, None)
    assert spec.checkpoint.on_none_valid is NoneValid.FAIL
    assert spec.checkpoint.staging.size_limit == 2**30
    assert spec.completion is Completion.MARKER
    assert spec.pod_cleanup is PodCleanup.KEEP_FAILED
    assert spec.policy_name is None
    assert spec.stall_timeout is None
    assert spec.ttl_seconds_after_finished is None


def test_a_minimal_policy_has_the_documented_defaults() -> None:
    spec = PolicySpec.model_validate({})
    assert (spec.interruptions.max, spec.interruptions.window) == (50, None)
    assert (spec.failures.max, spec.failures.refund_after_progress) == (3, True)
    assert spec.max_attempts_without_progress == 6
    backoff = spec.backoff
    assert (backoff.initial, backoff.max) == (timedelta(seconds=10), timedelta(minutes=5))
    assert (backoff.factor, backoff.jitter) == (2, Jitter.FULL)
    assert spec.unreachable.after == timedelta(seconds=40)


def test_a_full_policy() -> None:
    spec = PolicySpec.model_validate(a_full_policy()["spec"])
    assert spec.priority_class_names == ("batch-low",)
    assert spec.allowed_namespaces == ("research",)
    assert spec.interruptions.window == timedelta(hours=24)


@pytest.mark.parametrize("model", [JobSpec, PolicySpec])
def test_what_is_written_is_read_back(model: type[JobSpec | PolicySpec]) -> None:
    raw = a_full_job()["spec"] if model is JobSpec else a_full_policy()["spec"]
    spec = model.model_validate(raw)
    assert model.model_validate(spec.model_dump(mode="json", exclude_none=True)) == spec


def test_fields_of_a_newer_version_are_passed_over() -> None:
    spec = JobSpec.model_validate({**MINIMAL, "launcher": "Torchrun"})
    assert spec == JobSpec.model_validate(MINIMAL)


def test_a_spec_stored_under_other_rules_says_what_is_wrong_with_it() -> None:
    with pytest.raises(ValidationError) as error:
        JobSpec.model_validate({"template": {}, "checkpoint": {"interval": "soon"}})
    found = {one.path: one.message for one in unreadable(error.value)}
    assert set(found) == {"spec.checkpoint.store", "spec.checkpoint.interval"}
    assert "'soon' is not a duration" in found["spec.checkpoint.interval"]
