"""A report as decisions see it."""

from spot_operator.domain.observed.snapshot import CommitReport, Problem, ReportView, ResumeReport
from spot_operator.domain.state.ledger import (
    CommitRef,
    Interval,
    IntervalBounds,
    IntervalInputs,
    MemoryKills,
    Notice,
    Word,
)
from spot_operator.reports.schema import (
    Commit,
    Report,
    ReportedInterval,
    ReportedMemory,
    ReportedNotice,
    ReportedProblem,
    Resume,
    Source,
)

__all__ = ["view_of"]


def view_of(
    report: Report,
    *,
    age: float,
    step_age: float,
    commit_age: float = 0.0,
    word_age: float = 0.0,
) -> ReportView:
    """The view of a report received `age` seconds ago; see `ReportView` for the other ages."""
    trainer = report.trainer
    return ReportView(
        age=age,
        step_age=step_age,
        word_age=None if report.word is None else word_age,
        state=report.state,
        registered=trainer.registered,
        step=trainer.step,
        samples=trainer.samples,
        epoch=trainer.epoch,
        stepping=trainer.stepping_seconds,
        busy=trainer.busy,
        resume=None if report.resume is None else _resume(report.resume),
        commit=None if report.commit is None else _commit(report.commit),
        found=None if report.found is None or report.found.lineage else _ref(report.found),
        commits=report.commits,
        settled=report.settled,
        commit_age=commit_age,
        interval=None if report.interval is None else _interval(report.interval),
        seconds=report.seconds.model_dump(by_alias=True),
        notice=None if report.notice is None else _notice(report.notice),
        word=None if report.word is None else Word(report.word.word, report.word.reason),
        memory=None if report.memory is None else _memory(report.memory),
        problem=None if report.problem is None else _problem(report.problem),
        quarantined=tuple((one.id, one.why) for one in report.quarantined),
    )


def _resume(resume: Resume) -> ResumeReport:
    return ResumeReport(
        decision=resume.decision,
        source=None if resume.source is None else _ref(resume.source),
        inherited=resume.source is not None and resume.source.lineage is not None,
    )


def _interval(found: ReportedInterval) -> Interval:
    return Interval(
        seconds=found.seconds,
        why=found.why,
        inputs=IntervalInputs(**found.inputs.model_dump(by_alias=False)),
        bounds=IntervalBounds(**found.bounds.model_dump(by_alias=False)),
    )


def _commit(commit: Commit) -> CommitReport:
    return CommitReport(
        ref=_ref(commit),
        committed_at=commit.committed_at,
        bytes=commit.bytes,
        write_seconds=commit.write_seconds,
    )


def _memory(memory: ReportedMemory) -> MemoryKills:
    return MemoryKills(**memory.model_dump(by_alias=False))


def _notice(notice: ReportedNotice) -> Notice:
    return Notice(
        kind=notice.kind,
        deadline=notice.deadline,
        source=notice.source,
        observed_at=notice.observed_at,
        raw=notice.raw,
    )


def _ref(checkpoint: Source | Commit) -> CommitRef:
    return CommitRef(attempt=checkpoint.attempt, step=checkpoint.step, id=checkpoint.id)


def _problem(problem: ReportedProblem) -> Problem:
    return Problem(kind=problem.kind, message=problem.message, since=problem.since)
