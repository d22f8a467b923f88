"""`resumeFrom` as the operator sees it: whose steps they were, and what a script is told."""

from dataclasses import replace
from typing import Any

import pytest
from kit.builders import (
    a_commit,
    a_job,
    a_pod,
    a_report,
    a_snapshot,
    a_word,
    at_work,
    bound,
    committed,
    exited,
    expect_actions,
    expect_ending,
    gone,
    later,
    persisted,
    resumed_from,
    terminating,
    the_condition,
    the_current,
)
from spot_operator.api.names import Condition
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.observed.snapshot import (
    JobView,
    Problem,
    ReportView,
    ResumeReport,
    Snapshot,
)
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import CommitRef
from spot_operator.render.script import resume_args

FOREIGN = CommitRef(9, 500, "a00000009-s000000000500-0123abcd")
"""A checkpoint of the other job."""
STORE = {"s3": {"bucket": "checkpoints"}}
SCRIPT = {
    "directory": {"path": "/out", "format": "HuggingFace", "resumeArgs": ["--from", "{path}"]}
}


def a_follower(**checkpoint: Any) -> JobView:
    """A job that goes on from another's lineage."""
    source = {"name": "first", "uid": "1b4e"}
    completion = {"completion": "ExitCode"} if "source" in checkpoint else {}
    spec = {"store": STORE, "resumeFrom": source, **checkpoint}
    return a_job(checkpoint=spec, **completion)


def inheriting(step: int = 500, **changes: Any) -> ReportView:
    """The report of an attempt that resumed from the other job and has come to `step`."""
    report = resumed_from(FOREIGN, step, **changes)
    return replace(report, resume=ResumeReport("checkpoint", FOREIGN, inherited=True))


def the_creation(snapshot: Snapshot) -> CreatePod:
    (create,) = [one for one in expect_actions(snapshot) if isinstance(one, CreatePod)]
    return create


def crashed(snapshot: Snapshot) -> Snapshot:
    """The same after the trainer's exit, up to the next attempt's pod."""
    (pod,) = snapshot.pods
    over = persisted(replace(snapshot, pods=(exited(pod, 1),)))
    return persisted(later(over, 600, pods=(gone(exited(pod, 1)),)))


def test_what_the_other_job_committed_is_not_this_ones_newest() -> None:
    job = at_work(a_follower(), inheriting(510))
    current = the_current(job.ledger)
    assert (current.resumed_from, current.inherited) == (FOREIGN, True)
    assert job.ledger.checkpoint.newest is None
    assert job.ledger.checkpoint.best_step == -1
    assert the_condition(job.ledger, Condition.CHECKPOINTS_HEALTHY).reason == "NoneYet"


def test_the_steps_of_the_other_job_were_neither_made_nor_replayed_here() -> None:
    job = at_work(a_follower(), inheriting(500))
    assert job.ledger.totals.replayed_steps == the_current(job.ledger).replayed_steps == 0
    assert job.ledger.progress.step == 0, "being there is no step of its own"
    stepped = persisted(replace(job, reports={a_pod().uid: inheriting(510)}))
    assert stepped.ledger.progress.step == 510
    second = crashed(stepped)
    assert the_creation(second).high_water == 510
    pod = replace(a_pod(2), uid="second")
    again = replace(second, pods=(bound(pod),), reports={"second": inheriting(500)})
    assert the_current(persisted(again).ledger).replayed_steps == 10


def test_until_it_commits_each_attempt_is_told_to_inherit() -> None:
    first = the_creation(persisted(a_snapshot(job=a_follower())))
    assert (first.grant.newest, first.grant.inherits) == (None, True)
    job = at_work(a_follower(), inheriting(510))
    second = the_creation(crashed(job))
    assert (second.grant.newest, second.grant.inherits) == (None, True)
    mine = a_commit(1, 520)
    done = persisted(replace(job, reports={a_pod().uid: committed(inheriting(520), mine)}))
    third = the_creation(crashed(done))
    assert (third.grant.newest, third.grant.inherits) == (mine, False)


def test_its_first_commit_is_progress_however_far_the_other_had_come() -> None:
    job = at_work(a_follower(), inheriting(510))
    early = committed(inheriting(510), a_commit(1, 505))
    assert persisted(replace(job, reports={a_pod().uid: early})).ledger.checkpoint.best_step == 505


def test_the_event_says_that_it_was_another_jobs() -> None:
    fresh = persisted(a_snapshot(job=a_follower()))
    made = plan(replace(fresh, pods=(bound(a_pod()),), reports={a_pod().uid: inheriting(500)}))
    (note,) = [one for one in made.events if one.reason == "Resumed"]
    assert FOREIGN.id in note.message
    assert "of the lineage that resumeFrom names" in note.message


# --- a script is told by arguments ---------------------------------------------------------------


def held_back(snapshot: Snapshot, word: str) -> Snapshot:
    """The newest attempt after its sidecar turned the script back, and the next one's creation."""
    number = snapshot.ledger.attempt
    pod = bound(replace(a_pod(number), uid=f"uid-{number}"))
    said = a_report(
        state="Waiting", registered=False, step=0, resume=None, seconds={}, word=a_word(word)
    )
    stopped = persisted(replace(snapshot, pods=(pod,), reports={pod.uid: said}))
    dying = persisted(replace(stopped, pods=(terminating(pod),)))
    over = persisted(later(dying, 200, pods=(replace(gone(pod), node_name=None),)))
    expect_ending(over.ledger, "Regranted")
    return over


def arguments(snapshot: Snapshot) -> tuple[str, ...]:
    job = snapshot.job
    assert job is not None
    return resume_args(job, the_creation(snapshot))


def test_a_script_is_led_to_the_other_jobs_checkpoint_from_its_first_start() -> None:
    first = persisted(a_snapshot(job=a_follower(source=SCRIPT)))
    assert arguments(first) == ("--from", "/spot/shared/resume")
    assert arguments(persisted(a_snapshot(job=a_job(completion="ExitCode", checkpoint={
        "store": STORE, "source": SCRIPT})))) == ()  # fmt: skip


@pytest.mark.parametrize("policy", ["Fail", "StartFresh"])
def test_a_script_that_begins_from_zero_after_all_is_told_of_none(policy: str) -> None:
    """And of one again, should it be found: never back and forth without a cause."""
    first = persisted(a_snapshot(job=a_follower(source=SCRIPT, onNoneValid=policy)))
    second = held_back(first, "RegrantFresh")
    assert second.ledger.checkpoint.afresh
    assert arguments(second) == ()
    assert not the_creation(second).grant.inherits
    third = held_back(second, "RegrantResume")
    assert arguments(third) == ("--from", "/spot/shared/resume")


# --- the warning ---------------------------------------------------------------------------------


def test_an_unfinished_lineage_stands_in_the_condition_until_the_first_commit() -> None:
    problem = Problem("UnfinishedLineage", "an earlier job of this name left …")
    job = at_work(report=a_report(problem=problem))
    found = the_condition(job.ledger, Condition.CHECKPOINTS_HEALTHY)
    assert (found.status, found.reason) == ("Unknown", "UnfinishedLineage")
    assert found.message == problem.message
    later_on = committed(a_report(problem=problem), a_commit())
    done = persisted(replace(job, reports={a_pod().uid: later_on}))
    assert the_condition(done.ledger, Condition.CHECKPOINTS_HEALTHY).status == "True"
