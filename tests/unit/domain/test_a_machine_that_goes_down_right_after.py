"""A machine that goes down without a word may tell of the trainer's end, and of nothing after it.

What ends the machine ends the trainer first, by SIGTERM, of which a script makes any code. If the
node is silent from then on, whether its object stays or goes, the end proves nothing: an exit with
0 completes no job, and another code is no failure.
"""

from dataclasses import replace

import pytest
from kit.builders import (
    a_default_policy,
    a_job,
    a_node,
    a_pod,
    a_report,
    at_work,
    beside,
    exited,
    expect_ending,
    later,
    persisted,
    running,
)
from spot_operator.domain.observed.elapsed import lost, placed
from spot_operator.domain.observed.snapshot import Snapshot, Visibility
from spot_operator.domain.plan import plan

POD = running(a_pod())
ENDED = 600.0
"""Seconds from the pod's start to the trainer's end."""


def just_ended(code: int, completion: str, reason: str = "") -> Snapshot:
    """What stands persisted once the trainer has ended and its sidecar still stores."""
    work = at_work(a_job(completion=completion), policies=(a_default_policy(),))
    over = beside(exited(POD, code, reason))
    return persisted(_aged(replace(later(work, ENDED), pods=(over,)), 0, 1.0))


def _aged(now: Snapshot, seconds: float, silent: float) -> Snapshot:
    """So many seconds after the trainer's end, node-1 having renewed its lease so long ago."""
    mine = tuple(silent + 10.0 * k for k in range(60))
    others = {f"node-{k}": tuple(1.0 + 10.0 * n for n in range(60)) for k in (2, 3)}
    node = a_node(lease_age=silent, ready=silent < 40)
    first_sights = {lost(one): seconds for one in now.ledger.ranks}
    return replace(
        now,
        nodes={**now.nodes, "node-1": node},
        visibility=Visibility(True, 3600.0, {"node-1": mine, **others}),
        reports={POD.uid: a_report(age=silent + 5)},
        seen={placed(POD): ENDED + seconds, **first_sights},
    )


def silent_since(over: Snapshot, heard: float, seconds: float) -> Snapshot:
    """The world so many seconds after the trainer's end; its node was heard of `heard` after it."""
    now = over
    for passed in range(5, int(seconds) + 1, 5):
        age = 1.0 if passed <= heard else passed - heard
        now = persisted(_aged(later(now, 5), passed, age))
    return now


def removed(now: Snapshot) -> Snapshot:
    """The node's object and its lease are gone."""
    nodes = {name: one for name, one in now.nodes.items() if name != "node-1"}
    leases = {name: ages for name, ages in now.visibility.leases.items() if name != "node-1"}
    return persisted(replace(now, nodes=nodes, visibility=replace(now.visibility, leases=leases)))


@pytest.mark.parametrize("goes", [True, False], ids=["the object goes", "the object stays"])
@pytest.mark.parametrize("heard", [0, 5, 10])
@pytest.mark.parametrize(
    ("completion", "code"), [("ExitCode", 0), ("ExitCode", 1), ("Marker", 0), ("Marker", 1)]
)
def test_a_node_that_is_silent_from_then_on(
    completion: str, code: int, heard: float, *, goes: bool
) -> None:
    now = silent_since(just_ended(code, completion), heard, 45 if goes else 60)
    found = removed(now) if goes else now
    assert expect_ending(found.ledger, "Unknown").charged == "Interruption"


@pytest.mark.parametrize(("code", "ending"), [(0, "Completed"), (1, "TrainerFailed")])
def test_a_node_that_goes_a_while_later_has_not_caused_it(code: int, ending: str) -> None:
    expect_ending(removed(silent_since(just_ended(code, "ExitCode"), 30, 75)).ledger, ending)


@pytest.mark.parametrize(("code", "ending"), [(0, "Completed"), (1, "TrainerFailed")])
def test_a_node_that_is_removed_while_it_is_heard_of_has_not_caused_it(
    code: int, ending: str
) -> None:
    """An autoscaler takes a node away as soon as nothing trains on it."""
    expect_ending(removed(silent_since(just_ended(code, "ExitCode"), 60, 20)).ledger, ending)


def test_a_node_that_is_heard_of_again_in_the_same_boot_completes_the_job() -> None:
    quiet = silent_since(just_ended(0, "ExitCode"), 5, 35)
    mine = (1.0, 11.0, 45.0)
    back = replace(quiet, nodes={**quiet.nodes, "node-1": a_node(lease_age=1.0)})
    back = replace(
        back, visibility=Visibility(True, 3600.0, {**quiet.visibility.leases, "node-1": mine})
    )
    seen = {**quiet.seen, **{lost(one): 60.0 for one in quiet.ledger.ranks}}
    over = persisted(replace(later(back, 25), seen=seen, pods=(exited(POD, 0),)))
    expect_ending(over.ledger, "Completed")


def test_what_the_kernel_or_the_trainer_says_counts_all_the_same() -> None:
    struck = silent_since(just_ended(137, "Marker", "OOMKilled"), 5, 60)
    expect_ending(struck.ledger, "OutOfMemory")
    refused = silent_since(just_ended(93, "Marker"), 5, 60)
    expect_ending(refused.ledger, "TrainerRefused")


def test_the_silence_is_noted_before_the_node_can_go() -> None:
    """No event tells that a lease is not renewed, and with the node's object the lease goes too."""
    over = silent_since(just_ended(0, "ExitCode"), 5, 10)
    waits = plan(over).wake_after
    assert waits is not None
    assert waits.total_seconds() <= 20
