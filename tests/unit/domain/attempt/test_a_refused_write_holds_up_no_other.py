"""Whatever write is refused, and for however long: everything else of the job goes on."""

from dataclasses import replace

import pytest
from kit.builders import (
    a_default_policy,
    a_job,
    a_report,
    at_work,
    disrupted,
    exited,
    expect_actions,
    expect_write,
    later,
    persisted,
)
from kit.jobs import a_spec
from spot_operator.api.names import FINALIZER, State
from spot_operator.domain.actions import AnnotatePod, CreatePod, DeleteJob, DeletePod, Hold
from spot_operator.domain.observed.snapshot import STATUS_WRITE, JobView, Refusal, Snapshot
from spot_operator.domain.plan import plan

DELETE = {**a_spec()["checkpoint"], "deletionPolicy": "Delete"}
POLICY = a_default_policy(interruptions={"max": 9})
EDITS = [
    pytest.param(a_job(checkpoint=DELETE), Hold(wanted=True), id="Retain to Delete"),
    pytest.param(a_job(finalizers=(FINALIZER,)), Hold(wanted=False), id="Delete to Retain"),
]
"""The deletion policy of a job at work is changed, and its finalizer cannot be."""


def edited(job: JobView, work: Snapshot | None = None, **spec: object) -> Snapshot:
    """The job at work once its deletion policy was changed."""
    there = work or at_work(policies=(POLICY,))
    return replace(there, job=replace(job, spec=job.spec.model_copy(update=spec)))


@pytest.mark.parametrize(("job", "change"), EDITS)
def test_a_job_at_work_whose_finalizer_cannot_be_changed_is_suspended(
    job: JobView, change: Hold
) -> None:
    stopping = persisted(edited(job, suspend=True))
    assert stopping.ledger.state is State.STOPPING
    told = expect_actions(stopping)
    assert isinstance(told[0], DeletePod)
    assert change in told


@pytest.mark.parametrize(("job", "change"), EDITS)
def test_a_job_at_work_whose_finalizer_cannot_be_changed_goes_on_after_an_interruption(
    job: JobView, change: Hold
) -> None:
    work = edited(job)
    lost = disrupted(exited(work.pods[0], 143), "PreemptionByScheduler")
    again = persisted(replace(later(work, 60), pods=(lost,)))
    assert (again.ledger.attempt, again.ledger.state) == (2, State.CREATING)
    told = expect_actions(again)
    assert change in told
    assert any(isinstance(one, CreatePod) for one in told)


@pytest.mark.parametrize(("job", "change"), EDITS)
def test_nothing_begins_before_the_finalizer_is_right(job: JobView, change: Hold) -> None:
    fresh = replace(edited(job), ledger=replace(at_work().ledger, attempt=0), pods=())
    assert plan(fresh).actions == (change,)


def test_a_finished_job_is_not_deleted_before_its_finalizer_stands() -> None:
    work = at_work(a_job(ttlSecondsAfterFinished=60))
    over = persisted(replace(work, pods=(exited(work.pods[0], 93),)))
    assert over.ledger.state is State.FINISHED
    due = later(over, 7200)
    assert any(isinstance(one, DeleteJob) for one in expect_actions(due))
    job = a_job(ttlSecondsAfterFinished=60, checkpoint=DELETE)
    assert expect_actions(persisted(replace(due, job=job))) == (Hold(wanted=True),)


def refusing(what: str, *, pod: str = "") -> Refusal:
    return Refusal(pod, 403, "admission webhook denied the request", what)


UNANNOTATED = replace(at_work().pods[0], node_identity=None)


def moved_on(*refusals: Refusal) -> Snapshot:
    """A job at work whose pod lacks an annotation and whose figures have moved."""
    work = persisted(replace(at_work(), pods=(UNANNOTATED,), refusals=refusals))
    report = {UNANNOTATED.uid: a_report(step=5_000)}
    return replace(later(work, 60), reports=report)


def test_figures_are_written_although_a_pod_cannot_be_annotated() -> None:
    told = moved_on(refusing(f"annotate pod {UNANNOTATED.name}"))
    made = plan(told)
    assert expect_write(told).progress.step == 5_000
    assert not made.urgent
    assert isinstance(made.meanwhile[0], AnnotatePod), "while the figures wait for their turn"
    written = persisted(told)
    assert isinstance(expect_actions(written)[0], AnnotatePod)


def test_actions_come_before_figures_as_long_as_nothing_is_refused() -> None:
    assert isinstance(expect_actions(moved_on())[0], AnnotatePod)


def test_a_status_that_is_refused_holds_up_no_action() -> None:
    refused = moved_on(refusing(f"annotate pod {UNANNOTATED.name}"), refusing(STATUS_WRITE))
    assert isinstance(expect_actions(refused)[0], AnnotatePod)
