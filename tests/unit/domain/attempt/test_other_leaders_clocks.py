"""Whatever clocks former leaders had, a wait is as long as this leader sees it last."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from kit.builders import (
    a_default_policy,
    a_job,
    a_node,
    a_notice,
    a_pod,
    a_policy,
    a_report,
    a_snapshot,
    after,
    at_work,
    exited,
    expect_ending,
    gone,
    later,
    persisted,
    running,
    seeing,
    terminating,
    waiting,
)
from spot_operator.api.names import FINALIZER, Ending, State
from spot_operator.domain.accounts.budgets import charge
from spot_operator.domain.actions import CreatePurge, DeleteJob, DeletePod
from spot_operator.domain.attempt.concluding import NEVER_MADE_AFTER
from spot_operator.domain.attempt.start_problems import MOUNTS_PATIENCE
from spot_operator.domain.checkpoint_deletion import ENDING, LIMIT, STARTS_WITHIN, WAITS
from spot_operator.domain.nodes.exclusions import LASTS, barred_names, last_resort_names
from spot_operator.domain.observed.context import context_of
from spot_operator.domain.observed.elapsed import AGAIN, signs
from spot_operator.domain.observed.snapshot import JobView, PodView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Budgets, ExcludedNode, Purge
from spot_operator.domain.write_urgency import figures_due

DAY = 86_400.0
SKEWS = [0.0, 200.0, -200.0, DAY, -DAY, 40 * DAY, -40 * DAY]
"""Seconds by which the next leader's clock is ahead of the one that wrote the ledger."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that is waited for."""

    begun: Callable[[], Snapshot]
    """As the former leader left it, an instant after it began."""
    seconds: float
    """How long it takes."""
    over: Callable[[Snapshot], bool]
    """Whether what it waits for has happened."""


def the_next_leader(snapshot: Snapshot, skew: float, seen_for: float) -> Snapshot:
    """The same world `seen_for` seconds after another replica began to lead."""
    lasting = signs(snapshot.ledger, (*snapshot.pods, *snapshot.purges))
    return later(
        snapshot,
        skew + seen_for,
        seen=dict.fromkeys(lasting, seen_for),
        visibility=replace(snapshot.visibility, leading_for=seen_for),
    )


def vanished() -> Snapshot:
    return persisted(replace(later(at_work(), 10), pods=(), reports={}))


def backing_off() -> Snapshot:
    work = at_work(policies=(a_default_policy(backoff={"initial": "30s"}),))
    return persisted(later(replace(work, pods=(exited(work.pods[0], 1),)), 10))


def never_created() -> Snapshot:
    """The attempt's pod was asked for and is not seen; the user suspends."""
    creating = persisted(a_snapshot())
    return persisted(replace(creating, job=a_job(suspend=True)))


def pulling() -> Snapshot:
    stuck = waiting(running(a_pod()), "CreateContainerConfigError", 'secret "keys" not found')
    begun = replace(persisted(a_snapshot()), pods=(stuck,))
    return persisted(begun)


def unmounted() -> Snapshot:
    bare = replace(running(a_pod()), phase="Pending", trainer=a_pod().trainer)
    return persisted(
        replace(persisted(a_snapshot()), pods=(replace(bare, sidecar=a_pod().sidecar),))
    )


def held(deleting: bool = True) -> JobView:
    checkpoint = {"store": {"s3": {"bucket": "training"}}, "deletionPolicy": "Delete"}
    return a_job(checkpoint=checkpoint, finalizers=(FINALIZER,), deleting=deleting)


def purging(number: int, *purges: PodView) -> Snapshot:
    work = replace(at_work(held(deleting=False)), job=held())
    over = replace(persisted(replace(work, pods=(exited(work.pods[0], 0),))), pods=())
    wait = WAITS[number - 2] if number > 1 else timedelta(0)
    return replace(
        over, ledger=replace(over.ledger, purge=Purge(number, over.now + wait)), purges=purges
    )


def a_purge_pod() -> PodView:
    name = "digits-purge-1"
    return replace(a_pod(-1, -1), name=name, uid=f"uid-of-{name}", purge=1)


def stuck_on_a_silent_node() -> Snapshot:
    silent = a_node(lease_age=9_000.0)
    there = {one.name: one for one in (silent, a_node("node-2"), a_node("node-3"))}
    pod = replace(terminating(running(a_pod()), after(120)), node_identity=None)
    second = persisted(a_snapshot(nodes=tuple(there.values()), visibility=seeing(*there.values())))
    return persisted(replace(second, ledger=replace(second.ledger, attempt=2), pods=(pod,)))


def expiring(seconds: int) -> Callable[[], Snapshot]:
    def begun() -> Snapshot:
        work = at_work(a_job(ttlSecondsAfterFinished=seconds))
        return persisted(replace(work, pods=(exited(work.pods[0], 93),)))

    return begun


def excluding() -> Snapshot:
    work = at_work()
    one = ExcludedNode(a_node("node-2").identity, "NodeLost", work.now)
    return replace(work, ledger=replace(work.ledger, excluded=(one,)))


def does(kind: type) -> Callable[[Snapshot], bool]:
    return lambda snapshot: any(isinstance(one, kind) for one in plan(snapshot).actions)


def forces(snapshot: Snapshot) -> bool:
    deletions = (one for one in plan(snapshot).actions if isinstance(one, DeletePod))
    return any(one.grace_seconds == 0 for one in deletions)


def is_past(state: State) -> Callable[[Snapshot], bool]:
    return lambda snapshot: persisted(snapshot).ledger.state is not state


def tries_again(snapshot: Snapshot) -> bool:
    purge = persisted(snapshot).ledger.purge
    return purge is not None and purge.number > 1


def avoids_nothing(snapshot: Snapshot) -> bool:
    assert snapshot.job is not None
    context, ledger = context_of(snapshot, snapshot.job), snapshot.ledger
    return not (barred_names(context, ledger) or last_resort_names(context, ledger))


ALL_IN = (STARTS_WITHIN + LIMIT + ENDING).total_seconds()
WAITS_BEGUN = {
    "an absent pod's grace and the node's": Wait(vanished, 160, is_past(State.STOPPING)),
    "the back-off": Wait(backing_off, 30, is_past(State.WAITING)),
    "a POST that may be under way": Wait(
        never_created, NEVER_MADE_AFTER.total_seconds(), is_past(State.STOPPING)
    ),
    "patience with what nobody names": Wait(
        unmounted, MOUNTS_PATIENCE.total_seconds(), is_past(State.CREATED)
    ),
    "patience with a trouble": Wait(pulling, 60, is_past(State.CREATED)),
    "the deletion's second try": Wait(lambda: purging(2), 10, does(CreatePurge)),
    "a pod that deletes and never came": Wait(
        lambda: purging(1), STARTS_WITHIN.total_seconds(), tries_again
    ),
    "a pod that deletes and does not end": Wait(
        lambda: purging(1, running(a_purge_pod())), ALL_IN, tries_again
    ),
    "a pod's grace on a silent node": Wait(stuck_on_a_silent_node, 120, forces),
    "a short life of a finished job": Wait(expiring(600), 600, does(DeleteJob)),
    "an hour's exclusion": Wait(excluding, LASTS.total_seconds(), avoids_nothing),
}


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("wait", WAITS_BEGUN.values(), ids=WAITS_BEGUN.keys())
def test_no_wait_is_shorter_or_longer_than_this_leader_saw(wait: Wait, skew: float) -> None:
    begun = wait.begun()
    assert not wait.over(the_next_leader(begun, skew, 0.0))
    assert not wait.over(the_next_leader(begun, skew, wait.seconds - 1))
    assert wait.over(the_next_leader(begun, skew, wait.seconds))


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("wait", WAITS_BEGUN.values(), ids=WAITS_BEGUN.keys())
def test_the_job_is_looked_at_again_in_time(wait: Wait, skew: float) -> None:
    before = the_next_leader(wait.begun(), skew, wait.seconds - 1)
    if wait.over in {avoids_nothing, forces}:
        return  # nothing is done at the end of an exclusion, and a pod that is going is polled
    again = plan(before).wake_after
    assert again is not None
    assert again <= timedelta(seconds=60)


@pytest.mark.parametrize("skew", SKEWS)
def test_a_long_wait_outlives_leaders_but_no_clock_alone_ends_it(skew: float) -> None:
    week = 7 * DAY
    begun = expiring(int(week))()
    over = does(DeleteJob)
    assert not over(the_next_leader(begun, skew, AGAIN.total_seconds() - 1))
    assert over(the_next_leader(begun, skew, week))
    # Six days later, by clocks that agree: the seventh is waited for.
    assert not over(the_next_leader(begun, 6 * DAY, DAY - 1))
    assert over(the_next_leader(begun, 6 * DAY, DAY))


@pytest.mark.parametrize("skew", SKEWS)
def test_what_is_lost_after_our_stop_is_lost_by_it(skew: float) -> None:
    """The stop was dated by one leader, the loss by the next."""
    stopped = persisted(replace(at_work(), job=a_job(suspend=True)))
    assert stopped.ledger.stopping is not None
    gone_now = the_next_leader(replace(stopped, pods=(gone(terminating(POD)),)), skew, 9_000.0)
    ended = persisted(gone_now)
    record = ended.ledger.ranks[0]
    assert record.lost_at is not None
    assert record.lost_at > stopped.ledger.stopping.since
    lost_first = persisted(replace(at_work(), pods=()))
    assert lost_first.ledger.stopping is not None
    assert lost_first.ledger.ranks[0].lost_at == lost_first.ledger.stopping.since


POD = running(a_pod())


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize(("known_for", "ending"), [(60, "Preempted"), (600, "TrainerFailed")])
def test_a_notice_explains_an_ending_whichever_leader_dated_it(
    skew: float, known_for: float, ending: str
) -> None:
    """The pod's own clock tells nothing: the trainer's end is not dated."""
    warned = replace(POD, notice=a_notice(deadline=120))
    told = persisted(replace(at_work(), pods=(warned,)))
    over = replace(exited(warned, 1), trainer=replace(exited(POD, 1).trainer, finished_at=None))
    ended = persisted(replace(the_next_leader(told, skew, known_for), pods=(over,)))
    if abs(skew + known_for) < 180 and ending == "TrainerFailed":
        return  # by the clocks it is within the notice, and nobody knows which of them is right
    expect_ending(ended.ledger, ending)


@pytest.mark.parametrize("skew", SKEWS)
def test_no_clock_ends_a_job_by_the_window_of_its_interruptions(skew: float) -> None:
    """Three interruptions of days ago; the window is an hour, and two are allowed in it."""
    policy = a_policy("standard", interruptions={"max": 2, "window": "1h"}).spec
    times = tuple(after(-DAY * days) for days in (3, 2, 1))
    known = Budgets(interruptions=3, interruption_times=times)
    assert charge(known, policy, Ending.NODE_LOST, after(skew)).spent is None


def test_the_window_ends_a_job_whose_interruptions_are_within_it() -> None:
    policy = a_policy("standard", interruptions={"max": 2, "window": "1h"}).spec
    known = Budgets(interruptions=2, interruption_times=(after(-60), after(30)))
    assert charge(known, policy, Ending.NODE_LOST, after(0)).spent is not None


@pytest.mark.parametrize("skew", [DAY, -DAY])
def test_figures_are_written_although_the_last_are_dated_otherwise(skew: float) -> None:
    work = at_work()
    further = later(work, skew, reports={POD.uid: a_report(step=500)})
    seen = plan(further).ledger
    assert seen is not None
    assert figures_due(work.ledger, seen)
