"""What is known of an attempt's steps, checkpoints, replays and retries."""

from dataclasses import replace

from kit.builders import (
    a_commit,
    a_pod,
    a_report,
    after,
    at_work,
    committed,
    exited,
    expect_rest,
    expect_write,
    gone,
    later,
    persisted,
    resumed_from,
    running,
    saying,
    terminating,
    the_current,
)
from spot_operator.domain.observed.snapshot import ReportView, ResumeReport, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Committed

UID = a_pod().uid
POD2 = running(a_pod(2))


def reporting(snapshot: Snapshot, report: ReportView) -> Snapshot:
    return replace(snapshot, reports={snapshot.pods[0].uid: report})


def second_attempt(report: ReportView | None = None) -> Snapshot:
    """Attempt 1 came to step 110 at NOW, was deleted at 30 s; attempt 2 runs at 40 s."""
    first = reporting(at_work(), committed(a_report(step=110, step_age=0.0), a_commit(1, 100)))
    ended = persisted(
        replace(later(persisted(first), 30), pods=(gone(terminating(exited(a_pod(), 143))),))
    )
    waiting = report or a_report(state="Waiting", resume=None, step=0)
    return persisted(replace(later(ended, 10), pods=(POD2,), reports={POD2.uid: waiting}))


def test_a_first_commit_is_written_at_once_and_later_ones_when_there_is_room() -> None:
    first = plan(reporting(at_work(), committed(a_report(), a_commit(1, 10))))
    assert first.ledger is not None
    assert first.urgent
    assert first.ledger.checkpoint.newest == Committed(a_commit(1, 10), after(0), 1024, 0.5)
    known = persisted(reporting(at_work(), committed(a_report(), a_commit(1, 10))))
    second = plan(reporting(known, committed(a_report(), a_commit(1, 20), commits=2)))
    assert second.ledger is not None
    assert not second.urgent
    assert second.ledger.checkpoint.commits == 2


def test_steps_alone_are_written_each_half_minute() -> None:
    working = at_work()
    expect_rest(later(reporting(working, a_report(step=60)), 29))
    write = plan(later(reporting(working, a_report(step=60)), 30))
    assert write.ledger is not None
    assert not write.urgent
    assert write.ledger.progress.step == 60


def test_replayed_steps_are_those_below_the_highest_known() -> None:
    resumed = expect_write(reporting(second_attempt(), resumed_from(a_commit(1, 100))))
    assert the_current(resumed).replayed_steps == 10
    assert (resumed.totals.resumes, resumed.totals.replayed_steps) == (1, 10)


def test_a_fresh_start_of_a_later_attempt_replays_everything() -> None:
    fresh = expect_write(reporting(second_attempt(), a_report(step=0)))
    assert the_current(fresh).replayed_steps == 110
    assert (fresh.totals.resumes, fresh.checkpoint.best_step) == (0, -1)


def test_a_choice_tells_of_a_checkpoint_that_no_report_did() -> None:
    unheard = a_commit(1, 108)
    resumed = expect_write(reporting(second_attempt(), resumed_from(unheard)))
    assert resumed.checkpoint.newest is not None
    assert resumed.checkpoint.newest.ref == unheard
    assert resumed.checkpoint.best_step == 108


def test_a_sidecar_that_stops_its_trainer_failed_to_resume() -> None:
    stopped = a_report(resume=ResumeReport("stop"), step=0, state="Ended")
    ledger = expect_write(reporting(second_attempt(), stopped))
    assert (ledger.totals.resumes_failed, the_current(ledger).resumed) == (1, "stop")


def test_a_retry_lasts_from_the_last_step_to_the_first_new_one() -> None:
    resumed = persisted(reporting(second_attempt(), resumed_from(a_commit(1, 100))))
    assert the_current(resumed.ledger).retry_seconds is None
    stepping = resumed_from(a_commit(1, 100), 103, age=2.0, seconds={"replayed": 3.0})
    ledger = expect_write(later(reporting(resumed, stepping), 20))
    # It reported at 58 s that it had been stepping for 3 s; the last step before was at 0 s.
    assert the_current(ledger).retry_seconds == 55.0
    assert ledger.totals.retry_seconds == 55.0
    known = later(reporting(replace(resumed, ledger=ledger), replace(stepping, step=140)), 90)
    assert the_current(persisted(known).ledger).retry_seconds == 55.0


def test_the_first_attempt_retries_nothing() -> None:
    ledger = expect_write(later(reporting(at_work(), a_report(step=400)), 60))
    assert the_current(ledger).retry_seconds is None


def test_the_last_words_bring_what_no_report_did() -> None:
    commit = a_commit(1, 20)
    word = {"attempt": 1, "step": 20, "id": commit.id}
    ended = saying(exited(running(a_pod()), 1), step=25, commit=word)
    ledger = expect_write(replace(at_work(), pods=(ended,)))
    assert ledger.checkpoint.newest is not None
    assert ledger.checkpoint.newest.ref == commit
    assert (ledger.attempts[0].step, ledger.progress.step) == (25, 25)


def test_the_high_water_mark_never_falls() -> None:
    ledger = expect_write(reporting(second_attempt(), resumed_from(a_commit(1, 100), 105)))
    assert (ledger.progress.step, the_current(ledger).step) == (110, 105)
