"""What a persisted change of a ledger adds to the metrics.

Counted after the write that persisted it, once; a crash between the two loses a count and nothing
else: the figures that matter stand in the ledger.
"""

from typing import Final

from spot_operator.api.names import Condition, Ending, Reason, State
from spot_operator.domain.accounts.budgets import FAILURES
from spot_operator.domain.state.ledger import AttemptRecord, Ledger
from spot_operator.observability.metrics import Metrics

__all__ = ["count"]

_BUDGET_OF: Final[dict[str, str]] = {
    Reason.INTERRUPTIONS_EXHAUSTED: "Interruptions",
    Reason.NO_PROGRESS: "Progress",
    Reason.CHECKPOINTS_SUSPECT: "Progress",
    # A job that fails once too often is finished with the failure itself as its reason.
    **dict.fromkeys((Reason.FAILURES_EXHAUSTED, *FAILURES), "Failures"),
}


def count(metrics: Metrics, old: Ledger, new: Ledger) -> None:
    """Count what happened between two ledgers of one job."""
    metrics.attempts.inc(max(0, new.attempt - old.attempt))
    known = {record.number: record for record in old.attempts}
    for record in new.attempts:
        _count_attempt(metrics, known.get(record.number), record)
    _count_totals(metrics, old, new)
    _count_checkpoint(metrics, old, new)
    if new.state is State.FINISHED and old.state is not State.FINISHED:
        _count_finish(metrics, new)


def _count_attempt(metrics: Metrics, old: AttemptRecord | None, new: AttemptRecord) -> None:
    if new.ending is not None and (old is None or old.ending is None):
        metrics.endings.labels(new.ending, str(new.charged)).inc()
    if new.retry_seconds is not None and (old is None or old.retry_seconds is None):
        metrics.retry_seconds.observe(new.retry_seconds)


def _count_totals(metrics: Metrics, old: Ledger, new: Ledger) -> None:
    before, now = old.totals, new.totals
    metrics.resumes.inc(max(0, now.resumes - before.resumes))
    metrics.resumes_failed.inc(max(0, now.resumes_failed - before.resumes_failed))
    metrics.replayed_steps.inc(max(0, now.replayed_steps - before.replayed_steps))


def _count_checkpoint(metrics: Metrics, old: Ledger, new: Ledger) -> None:
    newest = new.checkpoint.newest
    if newest is not None and newest != old.checkpoint.newest:
        metrics.checkpoint_write_seconds.observe(newest.write_seconds)
        metrics.checkpoint_bytes.inc(newest.bytes)


def _count_finish(metrics: Metrics, ledger: Ledger) -> None:
    verdict = ledger.condition(Condition.SUCCEEDED)
    reason = verdict.reason if verdict is not None else str(Ending.UNKNOWN)
    metrics.finished.labels(reason).inc()
    budget = _BUDGET_OF.get(reason)
    if budget is not None:
        metrics.refusals.labels(budget).inc()
