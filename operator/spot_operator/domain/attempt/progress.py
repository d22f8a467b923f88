"""What the current attempt resumed from, committed and stepped, as its rank 0 tells.

Reports are cumulative, so a lost one changes nothing; the termination message fills in the end.

Durable progress is a checkpoint of a step that none was committed of before. It gives failures
back, calms the back-off and resets the breaker. A checkpoint of a step that had been reached
already does not count, or a trainer that always fails at one place would never stop.
"""

from dataclasses import replace
from datetime import timedelta

from spot_operator.api.names import Ending, State
from spot_operator.domain.attempt.last_word import last_word
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.snapshot import ReportView
from spot_operator.domain.state.ledger import (
    AttemptRecord,
    CommitRef,
    Committed,
    Ledger,
    Progress,
    RankRecord,
    Totals,
)


def note_progress(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` with what rank 0 reported of the current attempt."""
    leading = next((one for one in ledger.ranks if one.rank == 0), None)
    if leading is None or ledger.state in {State.WAITING, State.FINISHED}:
        return ledger
    report = context.report_of(leading)
    if report is not None:
        ledger = _resumed(context, ledger, report)
        ledger = _paced(_committed(context, ledger, report), report)
        if report.found is not None:
            ledger = note_checkpoint(context, ledger, Committed(report.found, context.now))
        ledger = _stepped(context, ledger, report)
    return _last_words(context, ledger, leading)


def note_started(_context: Context, ledger: Ledger) -> Ledger:
    """`ledger` knowing whether the job's template works: a trainer of it has started."""
    if ledger.has_started:
        return ledger
    # A status that an older operator wrote shows it by what its attempts did.
    ran = [one.number for one in ledger.attempts if one.running_at is not None]
    if any(one.started is not None for one in ledger.ranks):
        ran.append(ledger.attempt)
    newest = ledger.checkpoint.newest
    first = min(ran, default=None if newest is None else newest.ref.attempt)
    return replace(ledger, first_started=first)


def note_running(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` with the moment from which every trainer of the attempt ran, and where."""
    current = ledger.current
    if current is None or ledger.state is not State.CREATED or not ledger.ranks:
        return ledger
    running = all(one.started is not None for one in ledger.ranks)
    first = ledger.ranks[0].node
    return _with(
        ledger,
        current,
        running_at=current.running_at or (context.now if running else None),
        node=current.node or (first.name if first is not None else None),
    )


def _resumed(context: Context, ledger: Ledger, report: ReportView) -> Ledger:
    current, resume = ledger.current, report.resume
    if current is None or resume is None or current.resumed is not None:
        return ledger
    source = resume.source if resume.decision == "checkpoint" else None
    trained = resume.decision in {"checkpoint", "fresh"}
    begun_at = source.step if source is not None else 0
    replayed = max(0, ledger.progress.step - begun_at) if trained else 0
    ledger = _with(
        ledger,
        current,
        resumed=resume.decision,
        resumed_from=source,
        inherited=resume.inherited,
        replayed_steps=replayed,
    )
    ledger = replace(ledger, totals=_counted(ledger.totals, resume.decision, replayed))
    if resume.decision == "fresh":
        # Training from zero again: what it commits is progress, however far it once was.
        return replace(ledger, checkpoint=replace(ledger.checkpoint, best_step=-1))
    if source is None or resume.inherited:
        # What another job committed is neither this one's progress nor its newest.
        return ledger
    return note_checkpoint(context, ledger, Committed(source, context.now))


def _counted(totals: Totals, decision: str, replayed: int) -> Totals:
    return replace(
        totals,
        resumes=totals.resumes + (decision == "checkpoint"),
        resumes_failed=totals.resumes_failed + (decision == "stop"),
        replayed_steps=totals.replayed_steps + replayed,
    )


def _committed(context: Context, ledger: Ledger, report: ReportView) -> Ledger:
    commit = report.commit
    if commit is None:
        return ledger
    seen = Committed(commit.ref, commit.committed_at, commit.bytes, commit.write_seconds)
    return note_checkpoint(context, count_commits(ledger, report.commits), seen)


def _paced(ledger: Ledger, report: ReportView) -> Ledger:
    if report.interval is None:
        return ledger
    return replace(ledger, checkpoint=replace(ledger.checkpoint, interval=report.interval))


def _stepped(context: Context, ledger: Ledger, report: ReportView) -> Ledger:
    current = ledger.current
    if current is None or current.resumed is None or report.step == current.step:
        return ledger
    if report.step <= _begun_at(current):
        return ledger
    ledger = _retried(context, ledger, current, report)
    at = context.now - timedelta(seconds=report.step_age)
    progress = Progress(
        step=max(ledger.progress.step, report.step),
        samples=max(ledger.progress.samples, report.samples),
        epoch=max(ledger.progress.epoch, report.epoch),
        at=at,
    )
    ledger = replace(ledger, progress=progress)
    return _with(ledger, ledger.attempts[-1], step=report.step)


def _retried(
    context: Context, ledger: Ledger, current: AttemptRecord, report: ReportView
) -> Ledger:
    """Measure the retry: from the last step known before this attempt to its own first one."""
    last = ledger.progress.at
    if current.retry_seconds is not None or last is None:
        return ledger
    if len(ledger.attempts) < 2 or ledger.attempts[-2].ending == Ending.SUSPENDED:
        return ledger
    told_at = context.now - timedelta(seconds=report.age)
    first_step = told_at - timedelta(seconds=_stepping(report))
    seconds = round(max(0.0, (first_step - last).total_seconds()), 3)
    totals = replace(ledger.totals, retry_seconds=round(ledger.totals.retry_seconds + seconds, 3))
    return replace(_with(ledger, current, retry_seconds=seconds), totals=totals)


def _begun_at(current: AttemptRecord) -> int:
    """The step at which the attempt began: being there again is not a step of its own."""
    return current.resumed_from.step if current.resumed_from is not None else 0


def _stepping(report: ReportView) -> float:
    """Seconds for which the attempt had been making steps when it reported.

    An older sidecar does not say when it saw the first one: it counts from the loaded state.
    """
    if report.stepping is not None:
        return report.stepping
    return sum(report.seconds.get(one, 0.0) for one in ("productive", "replayed"))


def _last_words(context: Context, ledger: Ledger, leading: RankRecord) -> Ledger:
    """Of an ended rank, what no report brought any more."""
    said = last_word(context.pod_of(leading)) if leading.ended is not None else None
    if said is None or ledger.current is None:
        return ledger
    if said.commit is not None:
        ledger = note_checkpoint(context, ledger, Committed(said.commit, context.now))
    if said.step is None or said.step <= (ledger.attempts[-1].step or 0):
        return ledger
    progress = replace(ledger.progress, step=max(ledger.progress.step, said.step))
    return _with(replace(ledger, progress=progress), ledger.attempts[-1], step=said.step)


def _with(ledger: Ledger, current: AttemptRecord, **changes: object) -> Ledger:
    changed = replace(current, **changes)  # type: ignore[arg-type]
    return replace(ledger, attempts=(*ledger.attempts[:-1], changed))


def note_checkpoint(context: Context, ledger: Ledger, seen: Committed) -> Ledger:
    """`ledger` knowing of a committed checkpoint, of whatever attempt."""
    known = ledger.checkpoint
    newer = known.newest is None or _order(seen.ref) > _order(known.newest.ref)
    # Whether it gives failures back is the policy's to say: it counts once that is known.
    further = seen.ref.step > known.best_step and not context.in_doubt
    checkpoint = replace(
        known,
        newest=seen if newer else known.newest,
        best_step=seen.ref.step if further else known.best_step,
    )
    ledger = replace(ledger, checkpoint=checkpoint)
    return _refunded(context, ledger) if further else ledger


def count_commits(ledger: Ledger, of_attempt: int) -> Ledger:
    """`ledger` with the current attempt's commits counted in the job's."""
    known = ledger.checkpoint
    new = max(0, of_attempt - known.attempt_commits)
    checkpoint = replace(
        known, commits=known.commits + new, attempt_commits=known.attempt_commits + new
    )
    return replace(ledger, checkpoint=checkpoint)


def _order(ref: CommitRef) -> tuple[int, int]:
    return ref.attempt, ref.step


def _refunded(context: Context, ledger: Ledger) -> Ledger:
    budgets = replace(ledger.budgets, without_progress=0, progress_limit=None)
    if context.policy.failures.refund_after_progress:
        budgets = replace(budgets, failures=0)
    return replace(ledger, budgets=budgets, checkpoint=replace(ledger.checkpoint, suspects=()))
