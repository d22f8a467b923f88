"""The last message of a job that failed spells what to write: nothing committed is done again."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import yaml
from kit.builders import (
    a_commit,
    a_default_policy,
    a_job,
    a_report,
    a_word,
    at_work,
    committed,
    exited,
    expect_write,
    gone,
    later,
    persisted,
    terminating,
    the_condition,
)
from kit.jobs import a_spec
from spot_operator.api.job import ResumeFrom
from spot_operator.api.names import Condition
from spot_operator.domain.observed.snapshot import JobView, Problem, ReportView, Snapshot
from spot_operator.domain.state.ledger import Ledger

SAVED = committed(a_report(step=120), a_commit(1, 100))
OTHER = {"namespace": "research", "name": "teacher", "uid": "1e3", "checkpoint": "a1-s7"}


def a_job_that(**checkpoint: object) -> JobView:
    return a_job(checkpoint={**a_spec()["checkpoint"], **checkpoint})


def working(report: ReportView, job: JobView | None = None) -> Snapshot:
    policy = a_default_policy(failures={"max": 0}, interruptions={"max": 0})
    return at_work(job, report, policies=(policy,))


def exit_of(code: int, reason: str = "") -> Callable[[Snapshot], Ledger]:
    return lambda seen: (
        persisted(replace(later(seen, 60), pods=(exited(seen.pods[0], code, reason),))).ledger
    )


def word_of(word: str) -> Callable[[Snapshot], Ledger]:
    def told(seen: Snapshot) -> Ledger:
        pod = seen.pods[0]
        report = replace(seen.reports[pod.uid], word=a_word(word, "because"))
        ended = replace(later(seen, 60), pods=(exited(pod, 94),), reports={pod.uid: report})
        return persisted(ended).ledger

    return told


def interrupted(seen: Snapshot) -> Ledger:
    pods = (gone(terminating(exited(seen.pods[0], 143))),)
    return persisted(replace(later(seen, 60), pods=pods)).ledger


def lineage_in(message: str) -> ResumeFrom | None:
    """What the message tells to write under `spec.checkpoint`."""
    _, found, rest = message.partition("resumeFrom: ")
    if not found:
        return None
    return ResumeFrom.model_validate(yaml.safe_load(rest[: rest.index("}") + 1]))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (exit_of(1), "FailuresExhausted"),
        (exit_of(137, "OOMKilled"), "FailuresExhausted"),
        (exit_of(0), "FailuresExhausted"),
        (exit_of(93), "TrainerRefused"),
        (word_of("NoValidCheckpoint"), "NoValidCheckpoint"),
        (interrupted, "InterruptionsExhausted"),
    ],
)
def test_a_failed_job_names_its_own_lineage(end: Callable[[Snapshot], Ledger], reason: str) -> None:
    verdict = the_condition(end(working(SAVED)), Condition.SUCCEEDED)
    assert (verdict.status, verdict.reason) == ("False", reason)
    assert "newest checkpoint (step 100)" in verdict.message
    assert lineage_in(verdict.message) == ResumeFrom(name="digits", uid="uid-of-digits")


def test_a_completed_job_advises_nothing() -> None:
    done = the_condition(word_of("Finished")(working(SAVED)), Condition.SUCCEEDED)
    assert (done.status, lineage_in(done.message)) == ("True", None)


def test_a_job_that_went_on_from_another_and_committed_nothing_names_that_one() -> None:
    over = exit_of(1)(working(a_report(), a_job_that(resumeFrom=OTHER)))
    named = lineage_in(the_condition(over, Condition.SUCCEEDED).message)
    assert named == ResumeFrom.model_validate(OTHER)


def test_a_job_that_committed_nothing_says_that_a_new_one_begins_from_zero() -> None:
    verdict = the_condition(exit_of(1)(working(a_report())), Condition.SUCCEEDED)
    assert lineage_in(verdict.message) is None
    assert "No checkpoint was committed: a new job begins from zero" in verdict.message


@pytest.mark.parametrize(("ttl", "says"), [(None, "with it"), (600, "600 s after its end")])
def test_checkpoints_that_go_with_the_job_are_kept_first(ttl: int | None, says: str) -> None:
    job = a_job(
        checkpoint={**a_spec()["checkpoint"], "deletionPolicy": "Delete"},
        finalizers=("spottraining.dev/checkpoints",),
        ttlSecondsAfterFinished=ttl,
    )
    verdict = the_condition(exit_of(1)(working(SAVED, job)), Condition.SUCCEEDED)
    assert "set checkpoint.deletionPolicy: Retain in this job first" in verdict.message
    assert says in verdict.message


def test_the_advice_is_whole_however_long_the_evidence_is() -> None:
    seen = working(SAVED)
    pod = exited(seen.pods[0], 1, message="é" * 4000)
    over = expect_write(replace(seen, pods=(pod,)))
    message = the_condition(over, Condition.SUCCEEDED).message
    assert len(message.encode()) <= 1024
    assert lineage_in(message) == ResumeFrom(name="digits", uid="uid-of-digits")


def test_attempts_without_progress_end_with_the_lineage_as_well() -> None:
    seen = at_work(report=SAVED, policies=(a_default_policy(maxAttemptsWithoutProgress=1),))
    budgets = replace(seen.ledger.budgets, without_progress=9, progress_limit=1)
    tripped = persisted(replace(seen, ledger=replace(seen.ledger, budgets=budgets)))
    verdict = the_condition(exit_of(143)(tripped), Condition.SUCCEEDED)
    assert verdict.reason == "NoProgress"
    assert lineage_in(verdict.message) == ResumeFrom(name="digits", uid="uid-of-digits")


def test_a_state_that_does_not_fit_says_how_to_go_on_in_a_larger_staging_area() -> None:
    problem = Problem("StagingTooSmall", "needs 2147483648 bytes")
    seen = working(replace(SAVED, problem=problem))
    healthy = the_condition(seen.ledger, Condition.CHECKPOINTS_HEALTHY)
    assert (healthy.status, healthy.reason) == ("False", "StagingTooSmall")
    assert lineage_in(healthy.message) is not None
