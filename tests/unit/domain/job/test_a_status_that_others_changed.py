"""People edit a status, or restore one from a backup: no second attempt, no job held for ever.

Each row changes what stands persisted; the pods, and what runs in them, are as they were.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from kit.builders import (
    a_commit,
    a_default_policy,
    a_job,
    a_node,
    a_pod,
    a_report,
    a_snapshot,
    after,
    at_work,
    committed,
    exited,
    expect_ending,
    later,
    persisted,
    running,
    seeing,
    the_condition,
    the_rank,
)
from spot_operator.api.names import Condition, State
from spot_operator.domain.actions import CreatePod, DeletePod
from spot_operator.domain.observed.elapsed import signs
from spot_operator.domain.observed.snapshot import PodView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Ledger, Stopping
from spot_operator.domain.state.status import ledger_of, status_of

POLICIES = (a_default_policy(interruptions={"max": 5}, failures={"max": 5}),)
SECOND = running(a_pod(2))
Edit = Callable[[Ledger], Ledger]


def second_attempt() -> Snapshot:
    """A job whose first attempt was deleted, and whose second one trains."""
    work = at_work(policies=POLICIES, report=committed(a_report(step=120), a_commit()))
    failed = persisted(replace(later(work, 60), pods=(exited(work.pods[0], 7),)))
    again = persisted(later(failed, 7200))
    assert again.ledger.attempt == 2
    trains = replace(again, pods=(SECOND,), reports={SECOND.uid: a_report()})
    return persisted(trains)


def forgotten(_: Ledger) -> Ledger:
    return Ledger()


EDITS: dict[str, Edit] = {
    "removed": forgotten,
    "attempt set back": lambda it: replace(it, attempt=1),
    "attempt set to 0": lambda it: replace(it, attempt=0),
    "attempt set back, and its record with it": lambda it: replace(
        it, attempt=1, attempts=it.attempts[:1]
    ),
    "an older status of the same job": lambda it: replace(
        it, attempt=1, attempts=it.attempts[:1], state=State.WAITING, ranks=()
    ),
    "an older status, from when the attempt before was being made": lambda it: replace(
        it, attempt=1, attempts=it.attempts[:1], state=State.CREATING, ranks=()
    ),
    "attempts removed": lambda it: replace(it, attempts=()),
    "the record of the attempt removed": lambda it: replace(it, attempts=it.attempts[:1]),
    "ranks removed": lambda it: replace(it, ranks=()),
    "waits": lambda it: replace(it, state=State.WAITING),
    "is being made": lambda it: replace(it, state=State.CREATING, ranks=()),
    "stops, nobody says why": lambda it: replace(it, state=State.STOPPING),
    "runs, and stops": lambda it: replace(it, stopping=Stopping(after(60))),
}


def aged(snapshot: Snapshot, seconds: float, **changes: object) -> Snapshot:
    """Later, everything that lasts seen by this leader for as long."""
    then = replace(later(snapshot, seconds), **changes)  # type: ignore[arg-type]
    return replace(then, seen=dict.fromkeys(signs(then.ledger, then.pods), seconds))


def edited(edit: Edit) -> Snapshot:
    work = second_attempt()
    return replace(work, ledger=ledger_of(status_of(edit(work.ledger))))


@pytest.mark.parametrize("name", EDITS)
def test_no_attempt_begins_beside_a_live_one(name: str) -> None:
    now = edited(EDITS[name])
    for seconds in (1, 60, 3600, 40_000):
        now = persisted(aged(now, seconds))
        created = [one for one in plan(now).actions if isinstance(one, CreatePod)]
        assert created == []
        assert now.ledger.attempt == 2


@pytest.mark.parametrize("name", EDITS)
def test_the_job_goes_on_once_the_live_one_is_over(name: str) -> None:
    now = persisted(aged(edited(EDITS[name]), 1))
    now = persisted(aged(now, 60, pods=(exited(SECOND, 7),)))
    now = persisted(aged(now, 40_000, pods=(exited(SECOND, 7),)))
    created = [one.attempt for one in plan(now).actions if isinstance(one, CreatePod)]
    assert created == [3]


@pytest.mark.parametrize("name", EDITS)
def test_a_pod_that_went_meanwhile_holds_nothing(name: str) -> None:
    now = persisted(aged(edited(EDITS[name]), 1, pods=()))
    for _ in range(4):
        now = persisted(aged(now, 40_000))
        if any(isinstance(one, CreatePod) for one in plan(now).actions):
            return
    raise AssertionError(f"it is held for ever: {now.ledger}")


def test_what_goes_on_is_on_record_again() -> None:
    found = persisted(edited(forgotten))
    assert found.ledger.state is State.CREATED
    assert the_rank(found.ledger).uid == SECOND.uid
    assert [one.number for one in found.ledger.attempts] == [2]


def test_an_attempt_without_its_record_does_not_end_in_that_of_another() -> None:
    """The history of the one before stays as it is, and the end is told."""
    bare = edited(EDITS["the record of the attempt removed"])
    first = bare.ledger.attempts[0]
    over = persisted(replace(later(bare, 60), pods=(exited(SECOND, 137),)))
    assert over.ledger.attempts[0] == first
    assert [(one.number, one.ending) for one in over.ledger.attempts] == [
        (1, "TrainerFailed"),
        (2, "Unknown"),
    ]


@pytest.mark.parametrize(
    ("code", "status", "reason"), [(93, "False", "TrainerRefused"), (0, "True", "Completed")]
)
@pytest.mark.parametrize("kept", [False, True], ids=["removed", "without a verdict"])
def test_a_finished_job_has_its_verdict(code: int, status: str, reason: str, *, kept: bool) -> None:
    """People and tools wait for condition Succeeded; of a job that is over nothing else sets it."""
    job = a_job(completion="ExitCode")
    done = persisted(replace(later(at_work(job), 60), pods=(exited(FIRST, code),)))
    told = the_condition(done.ledger, Condition.SUCCEEDED)
    left = tuple(one for one in done.ledger.conditions if one.type is not Condition.SUCCEEDED)
    doubt = (replace(told, status="Unknown", reason="InProgress"),) if kept else ()
    changed = replace(done, ledger=replace(done.ledger, conditions=(*doubt, *left)))
    mended = persisted(later(changed, 60)).ledger
    found = the_condition(mended, Condition.SUCCEEDED)
    assert (found.status, found.reason, found.message) == (status, reason, told.message)
    assert (mended.state, mended.finished_at) == (State.FINISHED, done.ledger.finished_at)


def test_what_somebody_calls_finished_is_finished_and_says_so() -> None:
    called = persisted(edited(lambda it: replace(it, state=State.FINISHED)))
    found = the_condition(called.ledger, Condition.SUCCEEDED)
    assert (found.status, found.reason) == ("False", "Unknown")
    assert [one.uid for one in plan(called).actions if isinstance(one, DeletePod)] == [SECOND.uid]


def test_a_status_restored_for_a_job_made_anew_is_not_believed() -> None:
    """Its checkpoints are another lineage's: the job would end for want of them."""
    old = second_attempt()
    job = a_job(uid="another-uid")
    anew = persisted(a_snapshot(job=job, policies=POLICIES, ledger=old.ledger))
    assert (anew.ledger.attempt, anew.ledger.state) == (1, State.CREATING)
    assert anew.ledger.job_uid == "another-uid"
    assert anew.ledger.checkpoint.newest is None
    assert anew.ledger.budgets.failures == 0
    (create,) = [one for one in plan(anew).actions if isinstance(one, CreatePod)]
    assert create.grant.newest is None


def test_a_finished_status_of_another_finishes_nothing() -> None:
    done = persisted(replace(later(at_work(), 60), pods=(exited(running(a_pod()), 93),)))
    assert done.ledger.state is State.FINISHED
    anew = persisted(a_snapshot(job=a_job(uid="another-uid"), ledger=done.ledger))
    assert anew.ledger.state is State.CREATING


def test_a_status_from_before_it_named_its_job_is_believed() -> None:
    old = replace(second_attempt().ledger, job_uid="")
    assert persisted(replace(second_attempt(), ledger=old)).ledger == old


# What others do to the pods themselves.

FIRST = running(a_pod())


@pytest.mark.parametrize(
    "pod",
    [
        replace(FIRST, attempt=-1),
        replace(FIRST, attempt=99),
        replace(FIRST, rank=7),
        replace(FIRST, owner_uid=""),
        replace(FIRST, node_identity=None, grant=None, avoids=(), trusts="?"),
    ],
    ids=["no attempt", "a later attempt", "another rank", "no owner", "no annotations"],
)
class TestAPodWhoseMetadataSomebodyChanged:
    """It is known by its uid."""

    def test_it_trains_on(self, pod: PodView) -> None:
        now = persisted(replace(at_work(), pods=(pod,)))
        assert (now.ledger.attempt, now.ledger.state) == (1, State.CREATED)
        acts = plan(now).actions
        assert not any(isinstance(one, DeletePod | CreatePod) for one in acts)

    def test_a_suspension_ends_it(self, pod: PodView) -> None:
        stopping = persisted(replace(at_work(), pods=(pod,), job=a_job(suspend=True)))
        assert [one.uid for one in plan(stopping).actions if isinstance(one, DeletePod)] == [
            FIRST.uid
        ]

    def test_its_end_is_the_attempts(self, pod: PodView) -> None:
        over = persisted(replace(at_work(), pods=(replace(exited(FIRST, 7), attempt=pod.attempt),)))
        expect_ending(over.ledger, "TrainerFailed")

    def test_nothing_begins_beside_it(self, pod: PodView) -> None:
        """Its node is fenced, and it is there all the same."""
        gone = {"node-2": a_node("node-2"), "node-3": a_node("node-3")}
        lost = persisted(
            replace(at_work(), pods=(pod,), nodes=gone, visibility=seeing(*gone.values()))
        )
        (delete,) = [one for one in plan(lost).actions if isinstance(one, DeletePod)]
        assert (delete.uid, delete.grace_seconds) == (FIRST.uid, 0)
        assert lost.ledger.state is State.WAITING


def test_a_copy_of_a_pod_under_another_name_is_no_rank() -> None:
    copy = replace(running(a_pod(2)), name="digits-1-0-debug", uid="uid-of-a-copy")
    now = persisted(replace(at_work(), pods=(FIRST, copy)))
    assert now.ledger.attempt == 1
    lost = persisted(replace(later(now, 60), pods=(exited(FIRST, 7), copy)))
    waits = persisted(later(lost, 40_000))
    assert waits.ledger.state is State.WAITING, "the copy is ended first"


def test_a_finished_jobs_later_pod_does_not_stay() -> None:
    done = persisted(replace(later(at_work(), 60), pods=(exited(FIRST, 93),)))
    stray = replace(done, pods=(running(a_pod(5)),))
    assert [one.name for one in plan(stray).actions if isinstance(one, DeletePod)] == ["digits-5-0"]
