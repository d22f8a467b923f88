"""A long `unreachable.after` means itself: the witnesses of the silence are remembered as long."""

from datetime import timedelta

import pytest
from kit.builders import a_node
from kit.clock import HandClock
from spot_operator.api.policy import MAX_UNREACHABLE, MIN_UNREACHABLE
from spot_operator.control.store import Change
from spot_operator.domain.nodes.node_loss import node_lost
from spot_operator.domain.observed.snapshot import Visibility
from spot_operator.reconcile.lease_ages import LeaseAges
from spot_operator.reconcile.observe import WITNESSED

RENEWAL = 10
"""Seconds between two renewals of a kubelet."""
MINUTES = [timedelta(minutes=count) for count in (1, 10, 11, 13, 14, 15, 30, 59)]


def renewed(leases: LeaseAges, name: str, at: int) -> None:
    item = {"metadata": {"name": name}, "spec": {"renewTime": str(at)}}
    leases.hear(Change(None, item, live=True))


@pytest.mark.parametrize(
    "after", [MIN_UNREACHABLE, timedelta(seconds=40), *MINUTES, MAX_UNREACHABLE]
)
def test_a_node_that_goes_silent_is_lost_after_that_long(after: timedelta) -> None:
    clock, span = HandClock(), int(after.total_seconds())
    leases = LeaseAges(clock)
    leases.compare_over(WITNESSED * span)
    silent_from = 2 * span + 100
    lost_at = None
    for now in range(silent_from + 6 * span + 100):
        if now % RENEWAL == 0 or span < RENEWAL:
            names = ("one", "two", "three") if now <= silent_from else ("two", "three")
            for name in names:
                renewed(leases, name, now)
        age = leases.age("one")
        if age is not None and age > span and lost_at is None:
            visibility = Visibility(
                fresh=True, leading_for=clock.monotonic(), leases=leases.all_now()
            )
            node = a_node("one", lease_age=age)
            lost_at = now if node_lost(node, None, visibility, after) else None
        if lost_at is not None:
            break
        clock.step(1)
    assert lost_at is not None
    assert lost_at - silent_from <= span + 1


def test_no_more_is_remembered_than_is_asked_for() -> None:
    clock = HandClock()
    leases = LeaseAges(clock)
    for now in range(0, 7_200, RENEWAL):
        renewed(leases, "one", now)
        clock.step(RENEWAL)
    assert len(leases.all_now()["one"]) <= 61
    leases.compare_over(3_600)
    for now in range(7_200, 14_400, RENEWAL):
        renewed(leases, "one", now)
        clock.step(RENEWAL)
    assert 360 <= len(leases.all_now()["one"]) <= 361
