"""When a silent node is lost, and when it is only us who cannot see (invariant I2).

A node is lost when its lease has been stale for longer than `unreachable.after` and the reports of
its pod have been silent as long, while this leader's own watches are fresh, reports can reach it
and the other nodes are seen. All ages are this leader's own, counted from its sync.
"""

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Final

from spot_operator.domain.observed.snapshot import NodeView, ReportView, Visibility

ALONE_FACTOR: Final = 5
"""Without a majority of fresh leases, one other fresh lease suffices after so many times `after`:
half of a small cluster may die at once."""
AWAY: Final = 25.0
"""Seconds without a renewal, of which a kubelet makes one in ten."""
LATELY: Final = 60.0
"""Seconds for which a gap before explains an ending."""
RENEWAL_SLACK: Final = 0.25
"""Part of `after` by which another node's first sight may come late: a list takes its time."""


def node_lost(
    node: NodeView, report: ReportView | None, visibility: Visibility, unreachable_after: timedelta
) -> bool:
    """Whether `node`, which holds the pod that `report` came from, counts as lost."""
    after = unreachable_after.total_seconds()
    if not visibility.fresh or node.lease_age is None or node.lease_age <= after:
        return False
    if silence(report, visibility) <= after:
        return False
    return _others_are_seen(node.name, node.lease_age, after, visibility.leases)


def is_stale(node: NodeView, visibility: Visibility, unreachable_after: timedelta) -> bool:
    """Whether new pods should avoid `node`: a stale lease comes before the platform's taint."""
    if not visibility.fresh or node.lease_age is None:
        return False
    return node.lease_age > unreachable_after.total_seconds()


def was_away(node: NodeView, visibility: Visibility, placed_for: timedelta) -> bool:
    """Whether `node` was silent or not ready within the last minute or so, with the pod on it.

    A machine that reboots tells of its containers' ends and of its new boot over two watches, in
    either order; what it was doing before shows in its lease. What it did before the pod was bound
    to it, `placed_for` ago, ended nothing of the pod.
    """
    return not node.ready or was_silent(node, visibility, placed_for)


def was_silent(node: NodeView, visibility: Visibility, placed_for: timedelta) -> bool:
    """The same of its lease alone: what is known of the pods of such a node may be old."""
    if (node.lease_age or 0.0) > AWAY:
        return True
    ages = visibility.leases.get(node.name, ())
    lately = min(LATELY, placed_for.total_seconds())
    return any(older - newer > AWAY for newer, older in pairwise(ages) if newer <= lately)


def is_seen_alive(node: NodeView, visibility: Visibility, unreachable_after: timedelta) -> bool:
    """Whether this leader saw `node` renew its lease of late; the first sight proves nothing.

    A node without a lease is one that nothing else is known of: its Ready condition must do.
    """
    ages = visibility.leases.get(node.name, ())
    if node.lease_age is None:
        return True
    return len(ages) > 1 and node.lease_age <= unreachable_after.total_seconds()


def silence(report: ReportView | None, visibility: Visibility) -> float:
    """Seconds for which nothing was heard of a pod although it could have been.

    While our own reports server is down nobody can be heard, so that no silence counts.
    """
    unheard = visibility.leading_for if report is None else report.age
    return min(unheard, visibility.hearing_for)


def _others_are_seen(
    name: str, age: float, after: float, leases: Mapping[str, tuple[float, ...]]
) -> bool:
    others = [ages for node, ages in leases.items() if node != name and ages]
    fresh = sum(ages[0] <= after for ages in others)
    witnesses = [ages for ages in others if _was_fresh(ages, age, after)]
    agreeing = sum(ages[0] <= after for ages in witnesses)
    if agreeing * 2 > len(witnesses):
        return True
    return fresh > 0 and age > ALONE_FACTOR * after


def _was_fresh(ages: tuple[float, ...], then: float, after: float) -> bool:
    """Whether this lease was fresh `then` seconds ago, when the silent one was last renewed.

    Nodes long dead must not outvote the living, nor new nodes the ones that just went silent.
    """
    earliest = then - RENEWAL_SLACK * after
    return any(earliest <= seen <= then + after for seen in ages)
