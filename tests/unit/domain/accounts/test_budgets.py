"""What endings cost, how long the next attempt waits, and what progress gives back."""

from dataclasses import replace
from datetime import timedelta

import pytest
from kit.builders import (
    NOW,
    a_commit,
    a_default_policy,
    a_pod,
    a_policy,
    a_report,
    after,
    at_work,
    committed,
    exited,
    expect_actions,
    expect_ending,
    expect_write,
    gone,
    later,
    persisted,
    resumed_from,
    running,
    terminating,
    the_condition,
    the_current,
)
from spot_operator.api.names import Condition, Ending, Reason, State
from spot_operator.api.policy import Backoff
from spot_operator.domain.accounts.backoff import uncharged_level, wait_after
from spot_operator.domain.accounts.budgets import (
    FAILURES,
    FINAL,
    INTERRUPTIONS,
    UNCHARGED,
    charge,
    interruptions_used,
)
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.observed.snapshot import PodView, ReportView, Snapshot
from spot_operator.domain.state.ledger import AttemptRecord, Budgets, Charge

INTERRUPTION, FAILURE = Charge.INTERRUPTION, Charge.FAILURE


def test_every_ending_is_charged_to_one_thing() -> None:
    kinds = (INTERRUPTIONS, FAILURES, UNCHARGED, FINAL)
    for ending in Ending:
        assert sum(ending in kind for kind in kinds) == 1, ending


@pytest.mark.parametrize(
    ("charged", "level", "draw", "seconds"),
    [
        (INTERRUPTION, 1, 0.5, 0),
        (INTERRUPTION, 2, 0.5, 10),
        (FAILURE, 1, 0.5, 5),
        (FAILURE, 2, 0.5, 10),
        (FAILURE, 3, 0.0, 0),
        (FAILURE, 6, 0.5, 150),
        (FAILURE, 5000, 0.5, 150),
        (None, 0, 0.5, 0),
        (None, 1, 0.5, 5),
    ],
)
def test_waits_grow_and_are_drawn_below_a_cap(
    charged: Charge | None, level: int, draw: float, seconds: float
) -> None:
    assert wait_after(Backoff(), charged, level, draw) == timedelta(seconds=seconds)


def test_without_jitter_the_whole_wait_is_waited() -> None:
    backoff = Backoff.model_validate({"jitter": "None", "factor": 3, "max": "1m"})
    waits = [wait_after(backoff, FAILURE, level, 0.1).total_seconds() for level in range(1, 5)]
    assert waits == [10, 30, 60, 60]


def a_record(number: int, ending: str) -> AttemptRecord:
    return AttemptRecord(number, NOW, ending=ending)


@pytest.mark.parametrize(
    ("endings", "level"),
    [
        (["NotPlaced"], 0),
        (["NotPlaced", "AdmissionRejected"], 1),
        (["NotPlaced", "NotPlaced", "NotPlaced"], 2),
        (["NotPlaced", "Preempted", "NotPlaced"], 0),
        (["Suspended", "Suspended"], 0),
    ],
)
def test_uncharged_endings_in_a_row_slow_down(endings: list[str], level: int) -> None:
    records = tuple(a_record(number, ending) for number, ending in enumerate(endings, 1))
    assert uncharged_level(records, endings[-1]) == level


def test_a_budget_pays_for_as_many_attempts_as_it_says() -> None:
    policy = a_policy(interruptions={"max": 2}, failures={"max": 0}).spec
    budgets = Budgets()
    for used in (1, 2):
        bill = charge(budgets, policy, Ending.PREEMPTED, NOW)
        assert (bill.charged, bill.spent, bill.budgets.interruptions) == (INTERRUPTION, None, used)
        budgets = bill.budgets
    bill = charge(budgets, policy, Ending.EVICTED, NOW)
    assert (bill.charged, bill.spent) == (None, Reason.INTERRUPTIONS_EXHAUSTED)
    assert bill.budgets == budgets
    assert charge(budgets, policy, Ending.STALLED, NOW).spent is Reason.FAILURES_EXHAUSTED


def test_a_window_forgets_old_interruptions() -> None:
    policy = a_policy(interruptions={"max": 1, "window": "1h"}).spec
    charged = charge(Budgets(), policy, Ending.PREEMPTED, NOW).budgets
    assert charge(charged, policy, Ending.PREEMPTED, after(3599)).spent is not None
    assert charge(charged, policy, Ending.PREEMPTED, after(3600)).charged is INTERRUPTION
    assert interruptions_used(charged, policy, after(3600)) == 0


def test_a_window_given_later_counts_what_was_before() -> None:
    without = a_policy(interruptions={"max": 5}).spec
    charged = charge(Budgets(), without, Ending.PREEMPTED, NOW).budgets
    windowed = a_policy(interruptions={"max": 1, "window": "1h"}).spec
    assert charge(charged, windowed, Ending.PREEMPTED, after(60)).spent is not None


# Through the plan: rounds of attempts, each on a pod of its own.


def next_attempt(ended: Snapshot, report: ReportView | None = None) -> Snapshot:
    """The attempt after `ended`, once it is due, with its pod running and reporting."""
    wait = (ended.ledger.not_before or ended.now) - ended.now
    due = persisted(later(ended, wait.total_seconds(), pods=(), reports={}))
    create = next(one for one in expect_actions(due) if isinstance(one, CreatePod))
    pod = running(a_pod(create.attempt))
    return persisted(replace(due, pods=(pod,), reports={pod.uid: report or a_report()}))


def ended_by(snapshot: Snapshot, pod: PodView) -> Snapshot:
    return persisted(replace(later(snapshot, 60), pods=(pod,)))


def failed(snapshot: Snapshot) -> Snapshot:
    return ended_by(snapshot, exited(snapshot.pods[0], 1, message="ValueError: bad batch"))


def interrupted(snapshot: Snapshot) -> Snapshot:
    return ended_by(snapshot, gone(terminating(exited(snapshot.pods[0], 143))))


POLICIES = (a_default_policy(),)


def test_failures_back_off_longer_each_time_then_end_the_job() -> None:
    waits = []
    ended = failed(at_work(policies=POLICIES))
    while ended.ledger.state is State.WAITING:
        assert ended.ledger.not_before is not None
        waits.append((ended.ledger.not_before - ended.now).total_seconds())
        assert the_condition(ended.ledger, Condition.SUCCEEDED).reason == "BackingOff"
        ended = failed(next_attempt(ended))
    assert waits == [10, 20, 40]
    verdict = the_condition(ended.ledger, Condition.SUCCEEDED)
    assert (verdict.status, verdict.reason) == ("False", "FailuresExhausted")
    assert "TrainerFailed: the trainer exited with 1: ValueError: bad batch" in verdict.message
    assert "allows 3 failures" in verdict.message
    assert (ended.ledger.attempt, ended.ledger.budgets.failures) == (4, 3)


def test_the_first_interruption_of_a_row_waits_nothing() -> None:
    once = interrupted(at_work(policies=POLICIES))
    assert (once.ledger.state, once.ledger.attempt) == (State.CREATING, 2)
    twice = interrupted(next_attempt(replace(once, ledger=once.ledger)))
    assert twice.ledger.not_before == twice.now + timedelta(seconds=20)


def test_interruptions_end_the_job_when_they_are_too_many() -> None:
    policies = (a_default_policy(interruptions={"max": 1}),)
    once = interrupted(at_work(policies=policies))
    over = interrupted(next_attempt(once))
    verdict = the_condition(over.ledger, Condition.SUCCEEDED)
    assert (verdict.status, verdict.reason) == ("False", "InterruptionsExhausted")
    assert over.ledger.totals.interruptions == 2
    assert the_current(over.ledger).charged is None


def test_durable_progress_gives_failures_back_and_calms_the_wait() -> None:
    again = next_attempt(failed(next_attempt(failed(at_work(policies=POLICIES)))))
    assert again.ledger.budgets.failures == 2
    pod = again.pods[0]
    report = committed(a_report(step=120), a_commit(3, 120))
    ledger = expect_write(replace(again, reports={pod.uid: report}))
    assert (ledger.budgets.failures, ledger.budgets.without_progress) == (0, 0)


def test_without_refund_failures_stay() -> None:
    policies = (a_default_policy(failures={"max": 3, "refundAfterProgress": False}),)
    again = next_attempt(failed(at_work(policies=policies)))
    report = committed(a_report(step=120), a_commit(2, 120))
    ledger = expect_write(replace(again, reports={again.pods[0].uid: report}))
    assert (ledger.budgets.failures, ledger.budgets.without_progress) == (1, 0)


def test_a_commit_of_a_step_that_was_committed_before_is_no_progress() -> None:
    first = at_work(policies=POLICIES, report=committed(a_report(step=120), a_commit(1, 120)))
    again = next_attempt(failed(first), resumed_from(a_commit(1, 120)))
    older = committed(resumed_from(a_commit(1, 100), 120), a_commit(2, 120))
    seen = persisted(replace(again, reports={again.pods[0].uid: older}))
    assert seen.ledger.budgets.failures == 1
    newest = seen.ledger.checkpoint.newest
    assert newest is not None
    assert newest.ref == a_commit(2, 120)


def test_the_breaker_waits_for_the_choice_that_may_prove_progress() -> None:
    policies = (a_default_policy(maxAttemptsWithoutProgress=1),)
    twice = interrupted(next_attempt(interrupted(at_work(policies=policies))))
    assert twice.ledger.budgets.without_progress == 2
    silent = next_attempt(twice, a_report(state="Waiting", resume=None, step=0))
    assert silent.ledger.state is State.CREATED
    pod = silent.pods[0]
    saved = persisted(replace(silent, reports={pod.uid: resumed_from(a_commit(2, 50))}))
    assert (saved.ledger.state, saved.ledger.budgets.without_progress) == (State.CREATED, 0)
    tripped = persisted(replace(silent, reports={pod.uid: a_report()}))
    assert tripped.ledger.state is State.STOPPING
    over = expect_write(replace(later(tripped, 5), pods=(exited(pod, 143),)))
    expect_ending(over, "NoProgress")
    verdict = the_condition(over, Condition.SUCCEEDED)
    assert (verdict.status, verdict.reason) == ("False", "NoProgress")
    assert "allowed 1" in verdict.message


def test_two_failures_from_one_checkpoint_make_it_suspect_and_two_suspects_end_the_job() -> None:
    policies = (a_default_policy(failures={"max": 100}),)
    sources = [a_commit(1, 100 - 10 * k) for k in range(3)]
    ended = failed(at_work(policies=policies, report=committed(a_report(), a_commit(1, 100))))
    for count, source in enumerate(sources):
        for _ in range(2):
            assert len(ended.ledger.checkpoint.suspects) == count
            ended = failed(next_attempt(ended, resumed_from(source)))
    assert ended.ledger.checkpoint.suspects == (sources[0].id, sources[1].id)
    verdict = the_condition(ended.ledger, Condition.SUCCEEDED)
    assert (verdict.status, verdict.reason) == ("False", "CheckpointsSuspect")
    assert sources[2].id in verdict.message
    assert 'resumeFrom: {name: "digits", uid: "uid-of-digits"}' in verdict.message


def test_interruptions_between_two_failures_from_one_checkpoint_clear_it_of_nothing() -> None:
    policies = (a_default_policy(failures={"max": 100}),)
    source, newer = a_commit(1, 100), a_commit(4, 110)
    first = failed(at_work(policies=policies, report=committed(a_report(), source)))
    between = interrupted(next_attempt(failed(next_attempt(first, resumed_from(source))),
                                       resumed_from(source)))  # fmt: skip
    again = failed(next_attempt(between, resumed_from(source)))
    assert again.ledger.checkpoint.suspects == (source.id,)
    saved = next_attempt(between, committed(resumed_from(source), newer))
    assert failed(saved).ledger.checkpoint.suspects == ()


def test_the_next_attempt_is_told_of_suspects_and_of_the_newest_checkpoint() -> None:
    policies = (a_default_policy(failures={"max": 100}),)
    newest = a_commit(1, 100)
    ended = failed(at_work(policies=policies, report=committed(a_report(step=110), newest)))
    for _ in range(2):
        ended = failed(next_attempt(ended, resumed_from(newest)))
    assert ended.ledger.not_before is not None
    wait = (ended.ledger.not_before - ended.now).total_seconds()
    due = persisted(later(ended, wait, pods=()))
    (create,) = expect_actions(due)
    assert isinstance(create, CreatePod)
    assert create.grant.newest == newest
    assert create.grant.suspects == (newest.id,)
    assert create.high_water == 110
