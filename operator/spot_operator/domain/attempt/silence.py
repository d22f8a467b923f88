"""What does not come any more: reports, steps, checkpoints.

Nothing here ends an attempt; the conditions of `shown` tell it. A finding is made by ages that this
leader measured itself, and recorded with its instant: a message about it never moves, and the next
leader, who has heard nothing yet, says the same until it is refuted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from spot_operator.api.names import Condition, Reason, State
from spot_operator.domain.formats.text import WORD, shorten
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import lasted, span, started
from spot_operator.domain.observed.snapshot import ReportView
from spot_operator.domain.state.ledger import Interval, Ledger, RankRecord, Standstill

SILENT: Final = timedelta(minutes=2)
"""Eight reports: a sidecar finds a new leader within seconds."""
STILL: Final = timedelta(minutes=10)
"""For a trainer that has made steps; longer where its steps are long."""
STEPS: Final = 20
"""So many steps of the usual length may seem to be missing."""
FIRST_STEP: Final = timedelta(minutes=30)
"""For a trainer that has called the SDK and has made no step: it compiles, skips data, connects."""
REGISTERS: Final = timedelta(minutes=10)
"""For a trainer whose process runs and has not called the SDK: it imports, it prepares data."""
INTERVALS: Final = 3
"""So many checkpoints in a row are not missed by chance."""
OVERDUE: Final = timedelta(minutes=2)
"""On top of them."""
LONGEST_INTERVAL: Final = timedelta(hours=1)
"""The longest that is ever chosen, where none is known."""
BUSY: Final = timedelta(hours=6)
"""An evaluation may take hours; an announced silence that lasts longer than this is told."""
SCRIPT: Final = timedelta(hours=6)
"""A script decides by itself when it saves; longer than this is told."""
LIVE: Final = frozenset({State.CREATING, State.CREATED})


@dataclass(frozen=True, slots=True)
class _Watched:
    """Something that should come: how long it has not, when that is told, and what came last."""

    age: timedelta
    limit: timedelta
    step: int
    busy: str = ""

    @property
    def missing(self) -> bool:
        return self.age >= self.limit


def note_silence(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` with what does not come from each rank of a live attempt, and since when."""
    if ledger.state not in LIVE or not context.snapshot.visibility.fresh:
        return ledger
    return replace(ledger, ranks=tuple(_listened(context, ledger, one) for one in ledger.ranks))


def silence_ends_in(context: Context, ledger: Ledger, record: RankRecord) -> Iterator[timedelta]:
    """After what times something that does not come is worth telling."""
    if ledger.state not in LIVE or not _listens(record):
        return
    if record.silent_since is None:
        yield SILENT - _unheard(context, record)
    report = context.report_of(record)
    if report is None:
        return
    if report.busy is not None:
        yield STILL - timedelta(seconds=report.step_age)
    for known, watched in (
        (record.still, _steps(context, ledger, record, report)),
        (record.unsaved, _commits(context, ledger, report)),
    ):
        if known is None and watched is not None and not watched.missing:
            yield watched.limit - watched.age


def _listens(record: RankRecord) -> bool:
    return record.started is not None and record.lost_at is None


def _listened(context: Context, ledger: Ledger, record: RankRecord) -> RankRecord:
    if not _listens(record):
        return record
    report, unheard = context.report_of(record), _unheard(context, record)
    if unheard >= SILENT:
        return replace(record, silent_since=record.silent_since or _instant(context, unheard))
    if report is None:
        # What the last leader found stands until this one has listened long enough itself.
        return record
    return replace(
        record,
        silent_since=None,
        still=_noted(
            context, _known_still(ledger, record, report), _steps(context, ledger, record, report)
        ),
        unsaved=_noted(context, record.unsaved, _commits(context, ledger, report)),
    )


def _noted(
    context: Context, known: Standstill | None, watched: _Watched | None
) -> Standstill | None:
    if watched is None:
        return None
    if known is not None and (known.step, known.busy) == (watched.step, watched.busy):
        return known
    since = _instant(context, watched.age)
    return Standstill(since, watched.step, watched.busy) if watched.missing else None


def _instant(context: Context, age: timedelta) -> datetime:
    return (context.now - age).replace(microsecond=0)


def _unheard(context: Context, record: RankRecord) -> timedelta:
    """How long this leader has heard nothing of a rank that could report."""
    report = context.report_of(record)
    if report is not None:
        return timedelta(seconds=report.age)
    return min(span(context.snapshot.visibility.leading_for), _ran_for(context, record))


def _ran_for(context: Context, record: RankRecord) -> timedelta:
    """How long this leader has seen the trainer run."""
    return lasted(context.snapshot, started(record), record.started or context.now)


def _known_still(ledger: Ledger, record: RankRecord, report: ReportView) -> Standstill | None:
    """What was noted of a trainer that had not called the SDK says nothing of one that has."""
    running = ledger.condition(Condition.RUNNING)
    unregistered = running is not None and running.reason == Reason.NOT_REGISTERED
    return None if unregistered and report.registered else record.still


def _steps(
    context: Context, ledger: Ledger, record: RankRecord, report: ReportView
) -> _Watched | None:
    """The next step, or the first call of the SDK; None: neither is expected."""
    if context.is_script:
        return None
    age = timedelta(seconds=report.step_age)
    if report.registered and report.state in {"Waiting", "Training"}:
        limit, busy = _step_limit(ledger, report), _announced(report)
        return _Watched(age, max(limit, BUSY) if busy else limit, report.step, busy)
    if report.state == "Waiting" and not report.registered:
        return _Watched(min(age, _ran_for(context, record)), REGISTERS, report.step)
    return None


def _step_limit(ledger: Ledger, report: ReportView) -> timedelta:
    if ledger.current is None or ledger.current.step is None:
        return FIRST_STEP
    interval = _interval(ledger, report)
    step = (interval.inputs.step_seconds if interval is not None else None) or 0.0
    return max(STILL, STEPS * span(step))


def _commits(context: Context, ledger: Ledger, report: ReportView) -> _Watched | None:
    """The next checkpoint; None: none is expected now."""
    if report.state != "Training":
        return None
    saved = saved_step(report)
    if report.step <= saved and not context.is_script:
        return None
    due = INTERVALS * checkpoint_interval(context, ledger, report) + OVERDUE
    busy = _announced(report)
    limit = max(SCRIPT, due) if context.is_script else max(BUSY, due) if busy else due
    return _Watched(timedelta(seconds=report.commit_age), limit, saved, busy)


def _announced(report: ReportView) -> str:
    """What the trainer says that it is busy with; it may be called anything, nothing included."""
    return "" if report.busy is None else shorten(report.busy, WORD) or "something"


def says_busy(report: ReportView) -> str:
    """What is worth telling of an announced silence that lasts; empty: there is none."""
    return _announced(report) if timedelta(seconds=report.step_age) >= STILL else ""


def saved_step(report: ReportView) -> int:
    """The step up to which the reporting attempt's work is safe."""
    if report.commit is not None:
        return report.commit.ref.step
    source = report.resume.source if report.resume is not None else None
    return source.step if source is not None else 0


def checkpoint_interval(context: Context, ledger: Ledger, report: ReportView | None) -> timedelta:
    """The time from one checkpoint to the next that is in force, as far as is known."""
    known, asked = _interval(ledger, report), context.job.spec.checkpoint.interval
    if known is None:
        return asked if isinstance(asked, timedelta) else LONGEST_INTERVAL
    inputs = known.inputs
    least = max(inputs.commit_latency_seconds or 0.0, inputs.step_seconds or 0.0)
    return span(max(known.seconds, least))


def _interval(ledger: Ledger, report: ReportView | None) -> Interval | None:
    reported = report.interval if report is not None else None
    return reported or ledger.checkpoint.interval
