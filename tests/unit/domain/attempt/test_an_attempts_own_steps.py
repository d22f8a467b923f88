"""Being again where the checkpoint was is no step of the attempt: only its own ones tell of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from kit.builders import (
    a_commit,
    a_default_policy,
    a_job,
    a_pod,
    a_report,
    a_snapshot,
    committed,
    exited,
    later,
    persisted,
    resumed_from,
    running,
    the_current,
)
from spot_operator.api.names import State
from spot_operator.domain.observed.snapshot import ReportView, ResumeReport, Snapshot

COMMIT = a_commit(1, 100)
LONG = 600.0
"""Seconds, twice the stall timeout of these jobs."""


def report(resume: ResumeReport | None, step: int, **changes: object) -> ReportView:
    return a_report(resume=resume, step=step, step_age=LONG, **changes)


FRESH = ResumeReport("fresh")
RESUMED = ResumeReport("checkpoint", COMMIT)
INHERITED = ResumeReport("checkpoint", COMMIT, inherited=True)


@pytest.mark.parametrize(
    ("said", "stalls"),
    [
        pytest.param(report(FRESH, 0), False, id="fresh, no step yet"),
        pytest.param(report(FRESH, 1), True, id="fresh, one step"),
        pytest.param(report(RESUMED, 100), False, id="at the checkpoint's step"),
        pytest.param(report(RESUMED, 101), True, id="one step beyond it"),
        pytest.param(report(INHERITED, 100), False, id="at another job's checkpoint"),
        pytest.param(report(INHERITED, 101), True, id="beyond another job's checkpoint"),
        pytest.param(report(RESUMED, 0), False, id="a restarted sidecar that has not looked yet"),
        pytest.param(report(RESUMED, 40), False, id="steps that went backwards"),
        pytest.param(report(None, 100), False, id="what it begins with is not known yet"),
        pytest.param(report(RESUMED, 101, busy="eval"), False, id="busy"),
        pytest.param(report(RESUMED, 101, age=61.0), False, id="not heard of"),
        pytest.param(report(RESUMED, 101, registered=False), False, id="no trainer connected"),
        pytest.param(report(RESUMED, 101, state="Draining"), False, id="draining"),
        pytest.param(report(RESUMED, 101, state="Restoring"), False, id="restoring"),
    ],
)
def test_only_an_attempt_that_has_stepped_itself_can_stall(said: ReportView, stalls: bool) -> None:
    pod = running(a_pod())
    begun = replace(persisted(a_snapshot(job=a_job(stallTimeout="5m"))), pods=(pod,))
    judged = persisted(later(begun, LONG, reports={pod.uid: said}))
    assert judged.ledger.state is (State.STOPPING if stalls else State.CREATED)


def test_a_leader_without_reports_waits_for_one() -> None:
    pod = running(a_pod())
    begun = replace(persisted(a_snapshot(job=a_job(stallTimeout="5m"))), pods=(pod,))
    assert persisted(later(begun, LONG)).ledger.state is State.CREATED


def test_a_job_whose_every_start_takes_longer_than_the_timeout_outlives_its_interruptions() -> None:
    job = a_job(stallTimeout="5m")
    snapshot = replace(persisted(a_snapshot(job=job)), policies=(a_default_policy(),))
    for attempt in range(1, 9):
        snapshot = _interrupted(snapshot, attempt)
        assert the_current(snapshot.ledger).ending in {"Preempted", None}
        assert snapshot.ledger.state is not State.FINISHED


def _interrupted(snapshot: Snapshot, attempt: int) -> Snapshot:
    """A warm-up of ten minutes, steps beyond every earlier one, a checkpoint, the node's end."""
    snapshot = persisted(later(snapshot, 400))
    pod, source = running(a_pod(attempt)), a_commit(attempt - 1, 100 * (attempt - 1))
    begun = resumed_from(source, step_age=LONG) if attempt > 1 else a_report(step=0, step_age=LONG)
    snapshot = persisted(later(snapshot, LONG, pods=(pod,), reports={pod.uid: begun}))
    newest = a_commit(attempt, 100 * attempt)
    trained = committed(replace(begun, step=100 * attempt + 20, step_age=1.0), newest)
    snapshot = persisted(later(snapshot, 60, reports={pod.uid: trained}))
    over = replace(exited(pod, 143, at=snapshot.now), reason="Terminated")
    return persisted(later(snapshot, 30, pods=(over,)))


@pytest.mark.parametrize(
    ("stepping", "retry"),
    [
        pytest.param(None, 100.0 - 5.0, id="an older sidecar counts from the loaded state"),
        pytest.param(2.0, 100.0 - 2.0, id="this one knows when it saw the first own step"),
    ],
)
def test_a_retry_lasts_until_the_first_step_of_the_attempts_own(
    stepping: float | None, retry: float
) -> None:
    job, pod = a_job(), running(a_pod())
    first = persisted(a_snapshot(job=job, policies=(a_default_policy(),)))
    told = committed(a_report(step=120, step_age=0.0, age=0.0), COMMIT)
    first = persisted(replace(first, pods=(pod,), reports={pod.uid: told}))
    over = replace(exited(pod, 143, at=first.now), reason="Terminated")
    second = persisted(replace(first, pods=(over,), reports={}))
    again = running(a_pod(2))
    resumed = resumed_from(COMMIT, step=101, age=0.0, step_age=0.0, stepping=stepping)
    second = persisted(later(second, 100, pods=(again,), reports={again.uid: resumed}))
    assert second.now - first.now == timedelta(seconds=100)
    assert the_current(second.ledger).retry_seconds == retry
