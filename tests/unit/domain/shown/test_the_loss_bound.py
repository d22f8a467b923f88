"""Condition LossBoundFeasible: its numbers, its advice, and the Event at its change."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from kit.builders import (
    a_job,
    a_pod,
    a_policy,
    a_report,
    a_snapshot,
    exited,
    expect_actions,
    expect_rest,
    expect_write,
    gone,
    later,
    persisted,
    running,
    the_condition,
)
from spot_operator.api.events import Event
from spot_operator.api.names import Condition
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.observed.snapshot import Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Interval, IntervalBounds, IntervalInputs

POD = running(a_pod())
INPUTS = IntervalInputs(
    stall_seconds=0.5,
    commit_latency_seconds=20.0,
    state_bytes=2_000_000_000,
    upload_bytes_per_second=1e8,
    step_seconds=1.0,
    saves=3,
)


def training(inputs: IntervalInputs = INPUTS, /, shortest: float = 20.0, **spec: Any) -> Snapshot:
    """An attempt whose sidecar tells the interval that it decided."""
    job = a_job(checkpoint={"store": {"s3": {"bucket": "checkpoints"}}, **spec})
    begun = persisted(persisted(a_snapshot(job=job)))
    up = persisted(replace(begun, pods=(POD,)))
    interval = Interval(60.0, "Optimum", inputs, IntervalBounds(shortest=shortest))
    report = a_report(state="Training", registered=True, interval=interval)
    return replace(up, reports={POD.uid: report})


CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "not asked": ({}, "Unknown", "NoBoundAsked", "neither the job nor its policy sets"),
    "kept": (
        {"maxLostWork": "2m"},
        "True",
        "WithinBound",
        (
            "a loss without warning costs at most 81 s of work; maxLostWork is 120 s: a checkpoint "
            "every 60 s, copying the state takes 0.5 s, making its 2 GB durable 20 s"
        ),
    ),
    "impossible": (
        {"maxLostWork": "40s"},
        "False",
        "BoundExceeded",
        (
            "a loss without warning can cost 41 s of work; maxLostWork is 40 s: copying the "
            "state takes 0.5 s, making its 2 GB durable 20 s, and the next save begins when the "
            "last one is durable; set maxLostWork to at least 41 s, make the state smaller, or use "
            "a faster store"
        ),
    ),
    "fixed too long": (
        {"maxLostWork": "110s", "interval": "100s"},
        "False",
        "BoundExceeded",
        "set checkpoint.interval to at most 89 s, or to Adaptive, or raise maxLostWork to 121 s",
    ),
    "fixed": (
        {"maxLostWork": "121s", "interval": "100s"},
        "True",
        "WithinBound",
        "a checkpoint every 100 s",
    ),
}
"""The spec; status and reason; what the message says."""


@pytest.mark.parametrize("name", CASES)
def test_the_condition_has_the_numbers(name: str) -> None:
    spec, status, reason, says = CASES[name]
    found = the_condition(expect_write(training(**spec)), Condition.LOSS_BOUND_FEASIBLE)
    assert (found.status, found.reason) == (status, reason)
    assert says in found.message


POLICIES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "of the policy": ({}, "30s", "False", "maxLostWork of SpotPolicy gold is 30 s"),
    "of both, the policy's is less": (
        {"maxLostWork": "2m"},
        "30s",
        "False",
        "maxLostWork of SpotPolicy gold is 30 s",
    ),
    "of both, the job's is less": ({"maxLostWork": "2m"}, "1h", "True", "maxLostWork is 120 s"),
    "a fixed interval beyond it": (
        {"interval": "100s"},
        "110s",
        "False",
        "set checkpoint.interval to at most 89 s",
    ),
}
"""The job's checkpoint; the policy's bound; the status and what the message says."""


@pytest.mark.parametrize("name", POLICIES)
def test_the_less_of_the_two_bounds_holds(name: str) -> None:
    spec, asked, status, says = POLICIES[name]
    policy = a_policy(default=True, checkpoint={"maxLostWork": asked})
    snapshot = replace(training(**spec), policies=(policy,))
    found = the_condition(expect_write(snapshot), Condition.LOSS_BOUND_FEASIBLE)
    assert found.status == status
    assert says in found.message


def test_an_attempt_is_told_the_bound_of_its_policy() -> None:
    policy = a_policy(default=True, checkpoint={"maxLostWork": "30s"})
    creating = persisted(persisted(a_snapshot(policies=(policy,))))
    (create,) = [one for one in expect_actions(creating) if isinstance(one, CreatePod)]
    assert create.max_lost_work == timedelta(seconds=30)


def test_nothing_is_said_before_a_save_was_measured() -> None:
    ledger = expect_write(training(IntervalInputs(), maxLostWork="2m"))
    found = the_condition(ledger, Condition.LOSS_BOUND_FEASIBLE)
    assert (found.status, found.reason) == ("Unknown", "NotMeasured")


def test_a_change_is_an_event() -> None:
    snapshot = training(maxLostWork="30s")
    (note,) = [one for one in plan(snapshot).events if one.reason.startswith("LossBound")]
    assert (note.type, note.reason) == ("Warning", Event.LOSS_BOUND_EXCEEDED)
    assert "set maxLostWork to at least 41 s" in note.message
    better = training(replace(INPUTS, commit_latency_seconds=5.0), 5.0, maxLostWork="30s")
    mended = replace(later(persisted(snapshot), 60), reports=better.reports)
    (note,) = plan(mended).events
    assert (note.type, note.reason) == ("Normal", Event.LOSS_BOUND_KEPT)


def test_a_figure_that_stands_is_not_written_again() -> None:
    """At rest a job is not written; figures share the budget of progress."""
    told = persisted(training(maxLostWork="2m"))
    expect_rest(later(told, 15))
    moved = training(replace(INPUTS, commit_latency_seconds=20.1), maxLostWork="2m")
    written = plan(replace(later(told, 15), reports=moved.reports))
    assert written.ledger is not None
    assert not written.urgent


def test_the_next_attempt_is_told_what_this_one_measured() -> None:
    told = persisted(training(maxLostWork="2m"))
    ended = replace(later(told, 60), pods=(gone(exited(POD, 1)),), reports={})
    waiting = persisted(ended)
    creating = persisted(later(waiting, 3600))
    (create,) = [one for one in expect_actions(creating) if isinstance(one, CreatePod)]
    assert create.interval == told.ledger.checkpoint.interval
    assert create.interval is not None
    assert create.hazard.hours > 24.0
