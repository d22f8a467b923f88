"""A script without the SDK exits with 0 on a node that was silent just then.

Whether the machine had gone down, which ends a script by SIGTERM, or was only not heard of, its
boot id says; until then nothing is judged.
"""

from dataclasses import replace
from typing import Any

import pytest
from kit.builders import (
    a_companion,
    a_default_policy,
    a_job,
    a_node,
    a_pod,
    a_report,
    after,
    at_work,
    beside,
    exited,
    expect_ending,
    later,
    persisted,
    running,
    the_condition,
)
from spot_operator.api.names import Condition, State
from spot_operator.domain.observed.elapsed import lost, placed
from spot_operator.domain.observed.snapshot import NodeView, PodView, Snapshot, Visibility
from spot_operator.domain.plan import plan

POD = running(a_pod())
SILENT = {"node-1": (2.0, 75.0, 85.0), "node-2": (1.0, 11.0), "node-3": (1.0, 11.0)}
"""The lease of node-1 was renewed 2 s ago, after 73 s without a renewal."""
UP, AGAIN, OTHER = a_node(), a_node(boot_id="boot-2"), a_node(uid="another-machine")


def ended(pod: PodView | None = None, completion: str = "ExitCode", code: int = 0) -> Snapshot:
    """What stands persisted once the pod has ended on a node that was silent just before."""
    work = at_work(a_job(completion=completion), policies=(a_default_policy(),))
    there = replace(work, visibility=Visibility(True, 3600.0, SILENT), seen={placed(POD): 600.0})
    return persisted(replace(later(there, 60), pods=(pod or exited(POD, code),)))


def told(
    found: Snapshot, seconds: float, node: NodeView | None = UP, renewed: int = 0, **changes: Any
) -> Snapshot:
    """So many seconds later: the node as it is now, with so many renewals since the end."""
    renewals = tuple(1.0 + 10.0 * k for k in range(renewed))
    older = tuple(age + seconds for age in SILENT["node-1"])
    age = (renewals + older)[0]
    others = {name: one for name, one in found.nodes.items() if name != "node-1"}
    mine = {} if node is None else {"node-1": replace(node, lease_age=age)}
    leases = {**SILENT, "node-1": renewals + older}
    seen = {placed(POD): 660.0, **{lost(one): seconds for one in found.ledger.ranks}}
    return persisted(
        replace(
            later(found, seconds),
            nodes={**others, **mine},
            visibility=Visibility(True, 3600.0 + seconds, leases),
            seen=seen,
            **changes,
        )
    )


def test_nothing_is_judged_before_the_node_has_told() -> None:
    found = ended()
    assert found.ledger.state is State.STOPPING
    waits = plan(found).wake_after
    assert waits is not None
    assert waits.total_seconds() <= 10
    still = told(found, 9, renewed=1)
    assert (still.ledger.state, still.ledger.budgets) == (State.STOPPING, found.ledger.budgets)


@pytest.mark.parametrize(
    ("seconds", "node", "renewed", "ending"),
    [
        (21, UP, 2, "Completed"),
        (5, AGAIN, 0, "NodeLost"),
        (21, AGAIN, 2, "NodeLost"),
        (5, OTHER, 0, "NodeLost"),
        (5, None, 0, "Unknown"),
        (241, UP, 0, "Unknown"),
        (241, replace(UP, ready=False), 20, "Unknown"),
        (241, replace(UP, boot_id=""), 20, "Unknown"),
    ],
)
def test_the_boot_of_the_node_decides(
    seconds: float, node: NodeView | None, renewed: int, ending: str
) -> None:
    expect_ending(told(ended(), seconds, node, renewed).ledger, ending)


def test_a_node_that_stayed_up_completes_the_job_once() -> None:
    over = told(ended(), 21, UP, 2)
    assert over.ledger.state is State.FINISHED
    assert the_condition(over.ledger, Condition.SUCCEEDED).status == "True"
    assert over.ledger.budgets.interruptions == 0


def test_the_next_leader_waits_anew_and_says_the_same() -> None:
    found = told(ended(), 9)
    led = replace(found, now=after(100_000), seen={})
    visibility = Visibility(True, 1.0, {"node-1": (0.5,), "node-2": (0.5,), "node-3": (0.5,)})
    fresh = persisted(replace(led, visibility=visibility))
    assert fresh.ledger.state is State.STOPPING
    expect_ending(told(fresh, 21, UP, 2).ledger, "Completed")


def test_a_container_beside_the_trainer_changes_nothing() -> None:
    apart = ended(beside(exited(POD, 0), a_companion()))
    assert apart.ledger.state is State.STOPPING
    expect_ending(told(apart, 21, UP, 2, pods=(exited(POD, 0),)).ledger, "Completed")


def test_a_pod_that_stays_for_long_is_not_looked_at_all_the_time() -> None:
    """Once the wait is over, only the pod's own end decides, and that is an event."""
    apart = beside(exited(POD, 0), a_companion())
    waits = plan(told(ended(apart), 245, pods=(apart,))).wake_after
    assert waits is None or waits.total_seconds() >= 1


@pytest.mark.parametrize(
    ("completion", "code", "ending"),
    [("ExitCode", 7, "Unknown"), ("Marker", 0, "Unknown"), ("Marker", 7, "Unknown")],
)
def test_what_can_not_complete_the_job_is_judged_at_once(
    completion: str, code: int, ending: str
) -> None:
    expect_ending(ended(completion=completion, code=code).ledger, ending)


def test_a_stop_of_ours_is_not_waited_for() -> None:
    work = at_work(a_job(completion="ExitCode"), policies=(a_default_policy(),))
    suspended = replace(work, job=a_job(completion="ExitCode", suspend=True))
    stopping = persisted(
        replace(suspended, visibility=Visibility(True, 3600.0, SILENT), seen={placed(POD): 600.0})
    )
    over = persisted(replace(later(stopping, 5), pods=(exited(POD, 0),)))
    expect_ending(over.ledger, "Suspended")


def test_a_silence_of_the_sidecar_alone_is_no_silence_of_the_node() -> None:
    work = at_work(a_job(completion="ExitCode"), report=a_report(age=500.0))
    expect_ending(persisted(replace(work, pods=(exited(POD, 0),))).ledger, "Completed")
