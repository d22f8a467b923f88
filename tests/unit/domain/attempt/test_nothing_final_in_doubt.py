"""What is away, stale or unreadable for a moment decides nothing that stands."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from kit.builders import (
    a_commit,
    a_default_policy,
    a_job,
    a_node,
    a_pod,
    a_policy,
    a_report,
    a_word,
    at_work,
    committed,
    disrupted,
    exited,
    expect_ending,
    expect_rest,
    later,
    persisted,
    resumed_from,
    running,
    seeing,
    the_condition,
    the_current,
)
from kit.jobs import a_template
from spot_operator.api.names import Condition, Reason, State
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.observed.elapsed import demoted
from spot_operator.domain.observed.policy_choice import BUILT_IN, PATIENCE
from spot_operator.domain.observed.snapshot import JobView, PolicyView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Budgets, Claim
from spot_operator.reconcile.views import policy_view

STANDARD = a_default_policy(interruptions={"max": 0}, failures={"max": 0})
"""Ends a job at its first charged ending."""
GENEROUS = {"interruptions": {"max": 200}, "failures": {"max": 20}}
GOLD = a_policy("gold", allowedNamespaces=["*"], priorityClassNames=["high"], **GENEROUS)
NAMED = a_job(policyName="gold")
LISTED = a_job(template=a_template(priorityClassName="high"))
UNREAD = replace(GOLD, unreadable="spec.backoff.shape: unknown")
Json = dict[str, Any]
Policies = tuple[PolicyView, ...]
End = Callable[[Snapshot], Snapshot]

DOUBTS = [
    pytest.param(NAMED, (STANDARD,), Reason.POLICY_NOT_FOUND, id="the named policy is missing"),
    pytest.param(LISTED, (STANDARD,), Reason.POLICY_GONE, id="the class's policy is missing"),
    pytest.param(LISTED, (), Reason.POLICY_GONE, id="every policy is missing"),
    pytest.param(NAMED, (STANDARD, UNREAD), Reason.POLICY_UNREADABLE, id="the named one is unread"),
    pytest.param(LISTED, (STANDARD, UNREAD), Reason.POLICY_UNREADABLE, id="the class's is unread"),
    pytest.param(
        LISTED,
        (GOLD, a_policy("gilt", priorityClassNames=["high"])),
        Reason.POLICY_AMBIGUOUS,
        id="two list the class",
    ),
    pytest.param(
        NAMED,
        (STANDARD, a_policy("gold", **GENEROUS)),
        Reason.POLICY_NOT_ALLOWED,
        id="the named one admits the job no more",
    ),
]


def lost(work: Snapshot) -> Snapshot:
    """The pod ended, by no fault of the trainer's."""
    return replace(work, pods=(disrupted(exited(work.pods[0], 143), "PreemptionByScheduler"),))


def failed(work: Snapshot) -> Snapshot:
    """The trainer crashed."""
    return replace(work, pods=(exited(work.pods[0], 1),))


@pytest.mark.parametrize(("job", "policies", "reason"), DOUBTS)
@pytest.mark.parametrize(
    ("end", "ending"), [(lost, "SchedulerPreempted"), (failed, "TrainerFailed")]
)
def test_an_ending_waits_for_the_policy_that_says_what_it_costs(
    job: JobView, policies: Policies, reason: Reason, end: End, ending: str
) -> None:
    work = at_work(job, policies=(GOLD, STANDARD))
    away = persisted(end(replace(work, policies=policies)))
    assert away.ledger.state is State.STOPPING
    assert away.ledger.budgets == Budgets()
    verdict = the_condition(away.ledger, Condition.SUCCEEDED)
    assert (verdict.status, verdict.reason) == ("Unknown", reason)
    assert "and its charge is decided then" in verdict.message
    assert away.ledger.policy == "gold"
    expect_rest(later(away, 300))
    back = persisted(later(replace(away, policies=(GOLD, STANDARD)), 300))
    assert back.ledger.state is not State.FINISHED
    assert expect_ending(back.ledger, ending).charged is not None


@pytest.mark.parametrize(("job", "policies", "reason"), DOUBTS)
def test_a_running_attempt_goes_on_and_no_pod_is_made(
    job: JobView, policies: Policies, reason: Reason
) -> None:
    work = at_work(job, policies=(GOLD, STANDARD))
    expect_rest(replace(work, policies=policies))
    fresh = persisted(replace(work, ledger=replace(work.ledger, ranks=()), pods=()))
    creating = replace(fresh, ledger=replace(fresh.ledger, state=State.CREATING))
    assert any(isinstance(one, CreatePod) for one in plan(creating).actions)
    held = persisted(replace(creating, policies=policies))
    assert plan(held).actions == ()
    assert the_condition(held.ledger, Condition.SUCCEEDED).reason == reason


@pytest.mark.parametrize(("job", "policies", "reason"), DOUBTS)
def test_what_no_policy_rules_is_put_on_record_at_once(
    job: JobView, policies: Policies, reason: Reason
) -> None:
    work = replace(at_work(job, policies=(GOLD, STANDARD)), policies=policies)
    said = {work.pods[0].uid: a_report(word=a_word("Finished"))}
    done = persisted(replace(work, pods=(exited(work.pods[0], 0),), reports=said))
    assert (done.ledger.state, reason) == (State.FINISHED, reason)
    expect_ending(done.ledger, "Completed")
    refused = persisted(replace(work, pods=(exited(work.pods[0], 93),)))
    expect_ending(refused.ledger, "TrainerRefused")


@pytest.mark.parametrize(("job", "policies", "reason"), DOUBTS)
def test_no_node_is_lost_by_another_policys_patience(
    job: JobView, policies: Policies, reason: Reason
) -> None:
    silent, others = a_node(lease_age=45.0), (a_node("node-2"), a_node("node-3"))
    there = {one.name: one for one in (silent, *others)}
    work = replace(at_work(job, policies=(GOLD, STANDARD)), nodes=there, reports={})
    work = replace(work, visibility=seeing(*there.values()))
    expect_ending(persisted(work).ledger, "NodeLost")
    away = persisted(replace(work, policies=policies))
    assert (away.ledger.state, reason) == (State.CREATED, reason)


@pytest.mark.parametrize(("job", "policies", "reason"), DOUBTS)
def test_failures_come_back_once_it_is_known_whether_they_do(
    job: JobView, policies: Policies, reason: Reason
) -> None:
    work = at_work(job, policies=(GOLD, STANDARD))
    charged = replace(work, ledger=replace(work.ledger, budgets=Budgets(failures=2)))
    report = {work.pods[0].uid: committed(a_report(step=120), a_commit(1, 120))}
    away = persisted(replace(charged, policies=policies, reports=report))
    assert (away.ledger.budgets.failures, reason) == (2, reason)
    assert away.ledger.checkpoint.newest is not None
    assert persisted(replace(away, policies=(GOLD, STANDARD))).ledger.budgets == Budgets()


def test_the_policy_that_ruled_is_waited_for_and_no_longer() -> None:
    away = persisted(
        lost(replace(at_work(LISTED, policies=(GOLD, STANDARD)), policies=(STANDARD,)))
    )
    waits = PATIENCE.total_seconds()
    almost = later(away, waits - 1, seen={demoted("gold"): waits - 1})
    assert expect_rest(almost).wake_after is not None
    over = persisted(later(away, waits, seen={demoted("gold"): waits}))
    assert over.ledger.state is State.FINISHED
    assert (over.ledger.policy, over.ledger.policy_claim) == ("standard", Claim.DEFAULT)


@pytest.mark.parametrize(
    ("job", "before", "after", "rules"),
    [
        pytest.param(LISTED, (STANDARD,), (STANDARD, GOLD), "gold", id="promoted to its class's"),
        pytest.param(a_job(), (), (STANDARD,), "standard", id="a first default"),
        pytest.param(
            LISTED,
            (GOLD,),
            (a_policy("gilt", priorityClassNames=["high"]),),
            "gilt",
            id="another lists the class",
        ),
        pytest.param(a_job(), (STANDARD,), (a_policy("new", default=True),), None, id="renamed"),
        pytest.param(a_job(), (STANDARD,), (), None, id="no default any more"),
        pytest.param(
            LISTED, (GOLD, STANDARD), (a_policy("gold"), STANDARD), None, id="class taken off"
        ),
    ],
)
def test_a_policy_that_claims_more_rules_at_once_a_lesser_one_after_a_while(
    job: JobView, before: Policies, after: Policies, rules: str | None
) -> None:
    work = at_work(job, policies=before)
    former = str(work.ledger.policy)
    changed = persisted(replace(work, policies=after))
    assert changed.ledger.policy == (rules or former)
    seen = {demoted(former): PATIENCE.total_seconds()}
    settled = persisted(replace(changed, seen=seen))
    lesser = after[0].name if after and after[0].spec.default else BUILT_IN.name
    assert settled.ledger.policy == (rules or ("standard" if job is LISTED else lesser))


def test_a_job_that_takes_its_policy_name_back_follows_the_other_at_once() -> None:
    work = at_work(NAMED, policies=(GOLD, STANDARD))
    assert work.ledger.policy_claim is Claim.NAME
    free = persisted(replace(work, job=replace(a_job(), generation=2)))
    assert free.ledger.policy == "standard"


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("end", [lost, failed])
def test_a_stale_view_finishes_no_job(end: End, *, fresh: bool) -> None:
    work = at_work(policies=(STANDARD,))
    blind = replace(work, visibility=replace(work.visibility, fresh=fresh))
    over = persisted(end(blind))
    assert over.ledger.state is (State.FINISHED if fresh else State.STOPPING)
    if not fresh:
        assert expect_rest(over).wake_after is not None
        seeing = persisted(replace(over, visibility=work.visibility))
        assert seeing.ledger.state is State.FINISHED


def test_a_stale_view_deletes_no_expired_job() -> None:
    work = at_work(a_job(ttlSecondsAfterFinished=60), policies=(STANDARD,))
    over = later(persisted(failed(work)), 61)
    assert plan(over).actions
    assert plan(replace(over, visibility=replace(over.visibility, fresh=False))).actions == ()


def test_the_limit_of_attempts_without_progress_is_that_of_the_ending() -> None:
    strict, lax = (a_default_policy(maxAttemptsWithoutProgress=limit) for limit in (1, 50))
    for at_ending, later_on, ends in ((strict, lax, True), (lax, strict, False)):
        work = at_work(policies=(at_ending,))
        used = Budgets(interruptions=5, without_progress=5)
        ended = persisted(lost(replace(work, ledger=replace(work.ledger, budgets=used))))
        assert ended.ledger.budgets.progress_limit == (1 if ends else None)
        second = persisted(later(replace(ended, policies=(later_on,), pods=()), 9_000))
        pod = running(a_pod(2))
        told = replace(second, pods=(pod,), reports={pod.uid: a_report()})
        assert (persisted(told).ledger.state is State.STOPPING) is ends


def test_progress_takes_the_limit_back() -> None:
    work = at_work(policies=(a_default_policy(),))
    tripped = Budgets(interruptions=9, without_progress=9, progress_limit=6)
    ledger = replace(
        work.ledger, budgets=tripped, attempts=(replace(the_current(work.ledger), resumed=None),)
    )
    report = committed(resumed_from(a_commit(1, 400), 410), a_commit(1, 400))
    went_on = persisted(replace(work, ledger=ledger, reports={work.pods[0].uid: report}))
    assert went_on.ledger.state is State.CREATED
    assert went_on.ledger.budgets.progress_limit is None


@pytest.mark.parametrize("claim", [{"priorityClassNames": [{"name": "high"}]}, {"default": "if"}])
def test_a_policy_whose_claims_cannot_be_read_is_waited_for_as_long_as_it_is_there(
    claim: Json,
) -> None:
    """Else the lesser policy judges after ten minutes."""
    gold = a_policy("gold", priorityClassNames=["high"], default=True, **GENEROUS)
    unread = policy_view({"metadata": {"name": "gold"}, "spec": {**GENEROUS, **claim}})
    work = at_work(LISTED, policies=(gold,))
    away = lost(replace(work, policies=(unread, STANDARD)))
    for seconds in (10, 3600, 86_400):
        seen = {demoted("gold"): float(seconds)}
        held = persisted(replace(later(away, seconds), seen=seen))
        assert held.ledger.state is State.STOPPING
        verdict = the_condition(held.ledger, Condition.SUCCEEDED)
        assert (verdict.status, verdict.reason) == ("Unknown", Reason.POLICY_UNREADABLE)
    back = persisted(replace(held, policies=(gold, STANDARD)))
    assert expect_ending(back.ledger, "SchedulerPreempted").charged is not None
    assert back.ledger.policy == "gold"
