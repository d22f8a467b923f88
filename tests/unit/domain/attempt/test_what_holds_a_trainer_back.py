"""What keeps a trainer from starting is named: an init container, or no word of any scheduler."""

from dataclasses import replace
from typing import Any

import pytest
from kit.builders import (
    a_node,
    a_pod,
    a_snapshot,
    after,
    expect_rest,
    later,
    persisted,
    running,
    seeing,
    the_condition,
)
from kit.walking import walked
from spot_operator.api.names import Condition
from spot_operator.domain.observed.snapshot import ContainerView, Snapshot

RUNNING = Condition.RUNNING

FETCHES = ContainerView("fetch", "running", started_at=after(5), is_init=True)


@pytest.mark.parametrize(
    ("beside", "says"),
    [
        (FETCHES, "init container fetch, which runs since 2026-03-01T12:00:05Z, until it ends"),
        (replace(FETCHES, stays=True, probed=True), "until its startup probe passes"),
        (replace(FETCHES, stays=True), None),
        (replace(FETCHES, is_init=False), None),
        (replace(FETCHES, state="terminated", exit_code=0), None),
    ],
)
@pytest.mark.parametrize("state", [None, "waiting"])
def test_what_holds_a_trainer_back_before_it_begins_is_named(
    beside: ContainerView, says: str | None, state: Any
) -> None:
    begun = replace(running(a_pod()), phase="Pending", others=(beside,))
    pod = replace(
        begun, trainer=ContainerView("trainer", state, "PodInitializing" if state else "")
    )
    held = persisted(replace(persisted(a_snapshot()), pods=(pod,)))
    found = the_condition(held.ledger, RUNNING)
    assert (found.status, found.reason) == ("False", "Starting")
    if says is None:
        assert found.message == "attempt 1 is starting"
        return
    assert says in found.message
    assert "kubectl logs digits-1-0 -c fetch" in found.message
    assert persisted(later(held, 36_000)).ledger.conditions == held.ledger.conditions


# A pod of which no scheduler says a word.


def unseen(seconds: float, leading_for: float = 3600.0) -> Snapshot:
    nodes = tuple(a_node(f"node-{k}") for k in (1, 2, 3))
    created = replace(persisted(a_snapshot()), pods=(a_pod(),))
    visibility = seeing(*nodes, leading_for=leading_for)
    return replace(later(persisted(created), seconds), visibility=visibility)


@pytest.mark.parametrize(
    ("seconds", "leading_for", "status", "reason"),
    [
        (299, 3600, "Unknown", "Placing"),
        (300, 3600, "False", "NotScheduled"),
        (300, 299, "Unknown", "Placing"),
    ],
)
def test_a_pod_that_no_scheduler_looks_at_is_told(
    seconds: float, leading_for: float, status: str, reason: str
) -> None:
    seen_ = persisted(unseen(seconds, leading_for))
    found = the_condition(seen_.ledger, Condition.CAPACITY_AVAILABLE)
    assert (found.status, found.reason) == (status, reason)
    if status == "False":
        assert "digits-1-0" in found.message
        assert "since 2026-03-01T12:00:00Z" in found.message
        # It does not move, and the next leader says the same.
        expect_rest(replace(later(seen_, 60.4), visibility=seeing(leading_for=1.0)))


def test_somebody_looks_again_when_no_scheduler_does() -> None:
    for passed, now in walked(unseen(0), 400):
        if the_condition(now.ledger, Condition.CAPACITY_AVAILABLE).reason == "NotScheduled":
            assert passed == pytest.approx(300, abs=1)
            return
    raise AssertionError("it is never told")
