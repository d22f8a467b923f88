"""A spec that was stored under other rules is no other spec: its job is left as it is."""

from dataclasses import replace
from typing import Any

import pytest
from kit.builders import (
    after,
    at_work,
    exited,
    expect_ending,
    expect_rest,
    later,
    persisted,
    terminating,
    the_condition,
)
from kit.jobs import a_job_manifest
from spot_operator.api.names import FINALIZER, Condition, State
from spot_operator.domain.actions import Hold
from spot_operator.domain.checkpoint_deletion import hold
from spot_operator.domain.observed.snapshot import JobView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Budgets
from spot_operator.reconcile.views import job_view, policy_view

STORE = {"s3": {"bucket": "checkpoints"}}
MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "a word of a newer version": ({"checkpoint": {"onNoneValid": "Ask"}}, "spec.checkpoint.onNone"),
    "a newer completion": ({"completion": "Webhook"}, "spec.completion"),
    "a newer clean-up": ({"podCleanup": "KeepSome"}, "spec.podCleanup"),
    "a number for a text": ({"stallTimeout": "5 minutes"}, "spec.stallTimeout"),
    "a text for a number": ({"ttlSecondsAfterFinished": "soon"}, "spec.ttlSecondsAfterFinished"),
    "a text for a switch": ({"suspend": "maybe"}, "spec.suspend"),
    "below its bound": ({"checkpoint": {"keep": {"newest": 1}}}, "spec.checkpoint.keep.newest"),
    "a newer store": ({"checkpoint": {"store": {"s3": {"bucket": 7}}}}, "spec.checkpoint.store.s3"),
    "no map": ({"checkpoint": "none"}, "spec.checkpoint"),
    "a bad item of a list": (
        {
            "checkpoint": {
                "source": {"directory": {"path": "/o", "format": "DCP", "resumeArgs": [1]}}
            }
        },
        "spec.checkpoint.source.directory.resumeArgs",
    ),
}
EVERY = [pytest.param(spec, path, id=name) for name, (spec, path) in MALFORMED.items()]


def a_stored_job(spec: dict[str, Any], *, held: bool = False, deleting: bool = False) -> JobView:
    """What the API server holds; what the spec leaves out of `checkpoint` is as usual."""
    spec = dict(spec)
    if isinstance(spec.get("checkpoint", {}), dict):
        spec["checkpoint"] = {"store": STORE, **spec.get("checkpoint", {})}
    manifest = a_job_manifest(**spec)
    manifest["metadata"] |= {
        "uid": "uid-of-digits",
        "resourceVersion": "7",
        "generation": 1,
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "finalizers": [FINALIZER] if held else [],
    }
    if deleting:
        manifest["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    return job_view(manifest)


def with_policy(spec: str) -> dict[str, Any]:
    """A spec with that deletion policy and something unreadable beside it."""
    return {"checkpoint": {"deletionPolicy": spec, "onNoneValid": "Ask"}}


def working(job: JobView) -> Snapshot:
    """The job trained when its spec became unreadable."""
    return replace(at_work(), job=job)


@pytest.mark.parametrize(("spec", "path"), EVERY)
def test_what_cannot_be_read_is_named_and_nothing_else_is_lost(
    spec: dict[str, Any], path: str
) -> None:
    job = a_stored_job({"policyName": "gold", **spec})
    assert any(one.startswith(path) for one in job.unreadable)
    assert path in str(job.refusal)
    assert job.spec.policy_name == "gold"


@pytest.mark.parametrize(("spec", "path"), EVERY)
def test_a_new_job_gets_no_pods_and_a_condition(spec: dict[str, Any], path: str) -> None:
    waiting = persisted(
        replace(working(a_stored_job(spec)), ledger=type(at_work().ledger)(), pods=())
    )
    assert (waiting.ledger.state, waiting.ledger.attempt) == (State.WAITING, 0)
    verdict = the_condition(waiting.ledger, Condition.SUCCEEDED)
    assert (verdict.status, verdict.reason) == ("Unknown", "InvalidSpec")
    assert path in verdict.message
    assert "upgrade the operator" in verdict.message
    expect_rest(waiting)


@pytest.mark.parametrize(("spec", "path"), EVERY)
@pytest.mark.parametrize("suspend", [False, True])
def test_a_running_attempt_is_left_alone_and_people_are_told(
    spec: dict[str, Any], path: str, *, suspend: bool
) -> None:
    work = persisted(working(a_stored_job({"suspend": suspend, **spec})))
    assert work.ledger.state is State.CREATED
    assert path in the_condition(work.ledger, Condition.SUCCEEDED).message
    expect_rest(work)


@pytest.mark.parametrize(("spec", "path"), EVERY)
@pytest.mark.parametrize("code", [1, 93, 137, 143])
def test_nothing_is_charged_or_final(spec: dict[str, Any], path: str, code: int) -> None:
    work = working(a_stored_job(spec))
    over = persisted(replace(work, pods=(exited(work.pods[0], code),)))
    assert (over.ledger.state, over.ledger.budgets) == (State.STOPPING, Budgets())
    assert path in the_condition(over.ledger, Condition.SUCCEEDED).message
    expect_rest(later(over, 3_000))
    mended = persisted(replace(over, job=at_work().job))
    assert mended.ledger.state is not State.STOPPING


def test_success_is_judged_by_what_the_job_asked_for_if_that_can_be_read() -> None:
    job = a_stored_job({"completion": "ExitCode", "podCleanup": "KeepSome"})
    work = working(job)
    done = persisted(replace(work, pods=(exited(work.pods[0], 0),)))
    expect_ending(done.ledger, "Completed")
    unknown = a_stored_job({"completion": "Webhook"})
    waits = persisted(replace(working(unknown), pods=(exited(work.pods[0], 0),)))
    assert waits.ledger.state is State.STOPPING


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("policy", ["Delete", "Retain", "Archive"])
def test_the_finalizer_stays_as_it_is(policy: str, *, held: bool) -> None:
    assert hold(a_stored_job(with_policy(policy), held=held)) is None


@pytest.mark.parametrize(
    ("policy", "goes"), [("Retain", True), ("Delete", False), ("Archive", False)]
)
def test_a_deleted_job_goes_only_if_it_says_so_and_no_checkpoint_is_deleted(
    policy: str, *, goes: bool
) -> None:
    job = a_stored_job(with_policy(policy), held=True, deleting=True)
    leaving = persisted(working(job))
    actions = plan(leaving).actions
    if goes:
        assert actions == (Hold(wanted=False),)
        return
    assert [type(one).__name__ for one in actions] == ["DeletePod"]
    pod = exited(terminating(leaving.pods[0], after(30)), 143)
    over = persisted(later(replace(leaving, pods=(pod,)), 60))
    assert plan(later(over, 9_000)).actions == ()
    verdict = the_condition(over.ledger, Condition.SUCCEEDED)
    assert verdict.reason == "InvalidSpec"
    assert "deletionPolicy: Retain" in verdict.message


def test_a_deleted_job_that_never_began_goes() -> None:
    job = a_stored_job(with_policy("Archive"), held=True, deleting=True)
    fresh = replace(working(job), ledger=type(at_work().ledger)(), pods=())
    assert plan(persisted(fresh)).actions == (Hold(wanted=False),)


@pytest.mark.parametrize(
    ("spec", "classes", "default"),
    [
        ({"backoff": {"jitter": "Some"}, "priorityClassNames": ["high"]}, ("high",), False),
        ({"failures": {"max": -1}, "default": True}, (), True),
        ({"priorityClassNames": "high", "default": True}, (), True),
        ({"default": "perhaps", "priorityClassNames": ["high"]}, ("high",), False),
        ({"unreachable": "often"}, (), False),
    ],
)
def test_a_policy_that_cannot_be_read_still_claims_its_jobs(
    spec: dict[str, Any], classes: tuple[str, ...], *, default: bool
) -> None:
    view = policy_view({"metadata": {"name": "gold"}, "spec": spec})
    assert view.unreadable
    assert (view.spec.priority_class_names, view.spec.default) == (classes, default)
