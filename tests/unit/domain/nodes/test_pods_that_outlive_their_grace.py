"""A pod that outlives its grace is named: with its node, since when, and what to do about it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from kit.builders import (
    a_job,
    a_node,
    after,
    at_work,
    expect_rest,
    later,
    persisted,
    seeing,
    terminating,
    the_condition,
)
from kit.jobs import a_spec
from kit.walking import walked
from spot_operator.api.names import FINALIZER, Condition, State
from spot_operator.domain.observed.snapshot import NodeView, Snapshot
from spot_operator.domain.plan import plan

HOURS = 5 * 3600.0
RUNNING = Condition.RUNNING


def stopping(seconds: float, node: NodeView | None = None) -> Snapshot:
    """So long after the end of its grace a pod of a suspended job is still there."""
    work = at_work(a_job(suspend=False))
    suspended = persisted(replace(work, job=a_job(suspend=True)))
    pod = terminating(suspended.pods[0], after(120))
    there = node or a_node()
    nodes = {one.name: one for one in (there, a_node("node-2"), a_node("node-3"))}
    return replace(
        later(suspended, 120 + seconds),
        pods=(pod,),
        nodes=nodes,
        visibility=seeing(*nodes.values()),
    )


def test_a_pod_that_outlives_its_grace_is_named_with_its_node_since_when_and_what_to_do() -> None:
    made = plan(stopping(61))
    (event,) = made.events
    assert (event.type, event.reason) == ("Warning", "PodNotEnding")
    told = persisted(stopping(61))
    found = the_condition(told.ledger, RUNNING)
    assert (found.status, found.reason) == ("False", "PodNotEnding")
    for words in ("digits-1-0", "node-1", "2026-03-01T12:02:00Z", "Reboot the node"):
        assert words in found.message
    assert "digits-1-0" in the_condition(told.ledger, Condition.SUCCEEDED).message
    # It is alive: nothing is forced, and nothing begins beside it.
    hours = replace(later(told, HOURS), visibility=seeing(*told.nodes.values()))
    expect_rest(hours)


def test_a_pod_that_somebody_deleted_and_that_does_not_end_is_named_as_well() -> None:
    work = at_work()
    pod = terminating(work.pods[0], after(120))
    seen_ = persisted(replace(later(work, 181), pods=(pod,)))
    assert seen_.ledger.state is State.CREATED
    assert the_condition(seen_.ledger, RUNNING).reason == "PodNotEnding"
    assert "Reboot the node" in the_condition(seen_.ledger, Condition.SUCCEEDED).message


def test_a_deleted_job_that_waits_for_such_a_pod_names_it() -> None:
    checkpoint = {**a_spec()["checkpoint"], "deletionPolicy": "Delete"}
    job = a_job(checkpoint=checkpoint, finalizers=(FINALIZER,))
    work = at_work(job)
    pod = terminating(work.pods[0], after(120))
    deleted = replace(later(work, 181), job=replace(job, deleting=True), pods=(pod,))
    made = plan(deleted)
    assert [one.reason for one in made.events] == ["PodNotEnding"]
    told = persisted(deleted)
    assert the_condition(told.ledger, RUNNING).reason == "PodNotEnding"
    assert [one.type for one in told.ledger.conditions] == list(Condition)
    gone = persisted(replace(later(told, 60), pods=()))
    assert the_condition(gone.ledger, RUNNING).reason != "PodNotEnding"


def test_it_has_a_minute_and_somebody_looks_then() -> None:
    early = persisted(stopping(0))
    assert the_condition(early.ledger, RUNNING).reason == "Draining"
    for passed, now in walked(early, 90):
        if the_condition(now.ledger, RUNNING).reason == "PodNotEnding":
            assert passed == pytest.approx(60, abs=1)
            return
    raise AssertionError("it is never told")


def test_a_pod_of_a_job_that_is_over_is_named_as_well() -> None:
    over = replace(stopping(61).ledger, state=State.FINISHED, stopping=None)
    finished = replace(stopping(0), ledger=over)
    settled = persisted(finished)
    wake = plan(settled).wake_after
    assert wake is not None
    assert wake <= timedelta(seconds=60)
    told = persisted(later(settled, 61))
    assert the_condition(told.ledger, RUNNING).reason == "PodNotEnding"
    gone = persisted(replace(told, pods=()))
    assert the_condition(gone.ledger, RUNNING).reason == "NoAttempt"
