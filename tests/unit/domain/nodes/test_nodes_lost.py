"""Invariant I2: nothing is restarted because we could not see."""

from datetime import timedelta

import pytest
from kit.builders import a_node, a_report
from spot_operator.domain.nodes.node_loss import is_stale, node_lost
from spot_operator.domain.observed.snapshot import ReportView, Visibility

AFTER = timedelta(seconds=40)


def renewed(age: float, count: int = 60) -> tuple[float, ...]:
    """A lease renewed each ten seconds until `age` seconds ago."""
    return tuple(age + 10.0 * k for k in range(count))


SEEN = renewed(3)


CASES: dict[str, tuple[float, float, list[tuple[float, ...]], bool]] = {
    "silent, others are seen": (41, 41, [SEEN, SEEN], True),
    "lease not yet stale": (40, 41, [SEEN, SEEN], False),
    "reports still come": (41, 40, [SEEN, SEEN], False),
    "half of the others went silent too": (41, 41, [SEEN, renewed(42)], False),
    "most of the others are seen": (41, 41, [SEEN, SEEN, renewed(42)], True),
    "no majority, but long enough": (201, 201, [SEEN, renewed(202)], True),
    "no majority, not long enough": (200, 200, [SEEN, renewed(202)], False),
    "nobody is seen": (9000, 9000, [renewed(9000), renewed(9001)], False),
    "no other node": (9000, 9000, [], False),
    "the long dead do not vote": (41, 41, [SEEN, renewed(500), renewed(600)], True),
    "new nodes do not vote": (41, 41, [(5.0,), (6.0,), (7.0,)], False),
    "new nodes are seen all the same": (201, 201, [(5.0,), (6.0,)], True),
    "first sights of one list vote": (41, 41, [(2.0, 40.5)], True),
}
"""Age of the lease, silence of the reports, the other leases, whether the node is lost."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("fresh", [True, False])
def test_a_node_is_lost_only_in_sight_of_others(name: str, fresh: bool) -> None:
    age, silence, others, lost = CASES[name]
    leases = {f"other-{k}": ages for k, ages in enumerate(others)} | {"node-1": renewed(age)}
    visibility = Visibility(fresh=fresh, leading_for=9999, leases=leases)
    node, report = a_node(lease_age=age), a_report(age=silence)
    assert node_lost(node, report, visibility, AFTER) is (lost and fresh)


def test_without_any_report_silence_counts_from_our_sync() -> None:
    leases = {"node-1": (41.0,), "node-2": (1.0, 41.0)}
    node = a_node(lease_age=41.0)
    assert not node_lost(node, None, Visibility(True, 40.0, leases), AFTER)
    assert node_lost(node, None, Visibility(True, 41.0, leases), AFTER)


@pytest.mark.parametrize("report", [None, a_report(age=9999.0)])
def test_what_we_could_not_hear_is_no_silence(report: ReportView | None) -> None:
    """While our own reports server is down no report reaches us, whoever sends it."""
    leases = {"node-1": (99.0,), "node-2": (1.0, 11.0, 99.0)}
    node = a_node(lease_age=99.0)
    for heard, lost in ((0.0, False), (40.0, False), (41.0, True)):
        visibility = Visibility(True, 9999.0, leases, hearing_for=heard)
        assert node_lost(node, report, visibility, AFTER) is lost


def test_a_node_without_lease_is_never_lost() -> None:
    visibility = Visibility(True, 9999.0, {"node-2": SEEN})
    assert not node_lost(a_node(lease_age=None), None, visibility, AFTER)


def test_a_stale_lease_makes_new_pods_avoid_the_node_unless_we_are_blind() -> None:
    stale = a_node(lease_age=41.0)
    assert is_stale(stale, Visibility(True, 100.0), AFTER)
    assert not is_stale(stale, Visibility(False, 100.0), AFTER)
    assert not is_stale(a_node(lease_age=40.0), Visibility(True, 100.0), AFTER)
