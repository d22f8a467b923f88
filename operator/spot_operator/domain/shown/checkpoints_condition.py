"""Condition CheckpointsHealthy: whether checkpoints are written and can be trusted, or why not."""

from typing import Final

from spot_operator.api.names import Condition, Reason, State
from spot_operator.domain.attempt.silence import LIVE, checkpoint_interval
from spot_operator.domain.formats.timestamps import timestamp
from spot_operator.domain.job.resume_advice import with_advice
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.snapshot import ReportView
from spot_operator.domain.shown.finding import Finding
from spot_operator.domain.state.ledger import Ledger, RankRecord, Standstill

PASSING: Final = frozenset(
    {Reason.REPORTS_SILENT, Reason.NOT_REGISTERED, Reason.CHECKPOINT_OVERDUE}
)
"""What is true of one attempt only."""
NONE_YET: Final = "no checkpoint has been committed yet"
STORE_PROBLEMS: Final = {
    "StoreUnreachable": (
        Reason.STORE_UNREACHABLE,
        "the store cannot be reached; no attempt begins from zero; check endpoint and network",
    ),
    "StoreDenied": (
        Reason.STORE_DENIED,
        "the store denies access; check what the credentials, or user 65532 in a volume, may do",
    ),
    "NoValidCheckpoint": (
        Reason.NO_VALID_CHECKPOINT,
        "checkpoints were committed and none is valid",
    ),
    "StagingTooSmall": (
        Reason.STAGING_TOO_SMALL,
        "the state does not fit; create a new job with a larger checkpoint.staging.sizeLimit",
    ),
    "CheckpointCorrupt": (
        Reason.CHECKPOINT_CORRUPT,
        "a checkpoint did not verify; the one before it is used",
    ),
}


def saving(context: Context, ledger: Ledger) -> Finding | None:
    """What CheckpointsHealthy should say; None: nothing new is known."""
    over = ledger.state in {State.WAITING, State.FINISHED}
    first = ledger.ranks[0] if ledger.ranks and not over else None
    report = context.report_of(first) if first is not None else None
    if first is not None and first.silent_since is not None and first.lost_at is None:
        return Finding("Unknown", Reason.REPORTS_SILENT, _silent(context, ledger, first))
    if first is None or report is None:
        return _unreported(ledger, first)
    return _reported(context, ledger, first, report)


def unsaved_work(context: Context, ledger: Ledger) -> Finding | None:
    """What no promise about lost work can be made beside: silence, or checkpoints overdue."""
    first = ledger.ranks[0] if ledger.ranks else None
    if first is None or first.lost_at is not None or ledger.state not in LIVE:
        return None
    if first.silent_since is not None:
        return Finding("Unknown", Reason.REPORTS_SILENT, _silent(context, ledger, first))
    if first.unsaved is not None:
        return Finding("False", Reason.CHECKPOINT_OVERDUE, _overdue(context, ledger, first.unsaved))
    return None


def _unreported(ledger: Ledger, first: RankRecord | None) -> Finding | None:
    """Nobody reports: what stands is kept, but for what was true of an attempt that is over."""
    before = ledger.condition(Condition.CHECKPOINTS_HEALTHY)
    if before is None:
        return Finding("Unknown", Reason.NONE_YET, NONE_YET)
    same_attempt = first is not None and first.started is not None
    if before.reason not in PASSING or same_attempt:
        return None
    return Finding("Unknown", Reason.NO_REPORT, f"no trainer reports now; {_newest(ledger)}")


def _reported(context: Context, ledger: Ledger, first: RankRecord, report: ReportView) -> Finding:
    newest = ledger.checkpoint.newest
    if report.problem is not None and report.problem.kind in STORE_PROBLEMS:
        reason, says = STORE_PROBLEMS[report.problem.kind]
        message = f"{says}: {report.problem.message}"
        if reason is Reason.STAGING_TOO_SMALL:
            message = with_advice(context, ledger, message)
        return Finding("False", reason, message)
    if report.quarantined and (newest is None or newest.ref.attempt < ledger.attempt):
        reason, says = STORE_PROBLEMS["CheckpointCorrupt"]
        named = "; ".join(f"{name}: {why}" for name, why in report.quarantined)
        return Finding("False", reason, f"{says}: {named}")
    if first.unsaved is not None:
        return Finding("False", Reason.CHECKPOINT_OVERDUE, _overdue(context, ledger, first.unsaved))
    if first.still is not None and not report.registered:
        message = f"the trainer has never called the SDK, so nothing is saved; {_newest(ledger)}"
        return Finding("Unknown", Reason.NOT_REGISTERED, message)
    if newest is None:
        return _none_yet(report)
    return Finding("True", Reason.COMMITTED, "the newest checkpoint is committed")


def _none_yet(report: ReportView) -> Finding:
    problem = report.problem
    if problem is not None and problem.kind == Reason.UNFINISHED_LINEAGE:
        return Finding("Unknown", Reason.UNFINISHED_LINEAGE, problem.message)
    return Finding("Unknown", Reason.NONE_YET, NONE_YET)


def _silent(context: Context, ledger: Ledger, first: RankRecord) -> str:
    since = timestamp(first.silent_since) if first.silent_since is not None else "long ago"
    name = context.pod_name(ledger.attempt, first.rank)
    return (
        f"the sidecar of pod {name} has reported nothing since {since}: it is not known whether "
        f"it saves (see condition Running); {_newest(ledger)}"
    )


def _overdue(context: Context, ledger: Ledger, unsaved: Standstill) -> str:
    name, since = context.pod_name(ledger.attempt, 0), timestamp(unsaved.since)
    if context.is_script:
        return (
            f"the script has written no complete checkpoint since {since} (the last is of step "
            f"{unsaved.step}): check that it saves below checkpoint.source.directory.path, in the "
            f"format that is set there; `kubectl logs {name} -c spot-sidecar` shows what was seen"
        )
    if unsaved.busy:
        return (
            f'the trainer has said since {since} that it is busy with "{unsaved.busy}"; what it '
            f"did after step {unsaved.step} is not saved: a step (run.step()) saves; `kubectl logs "
            f"{name}` shows where it is"
        )
    every = round(checkpoint_interval(context, ledger, None).total_seconds())
    return (
        f"the trainer makes steps; none after step {unsaved.step} has been saved since {since}, "
        f"though a checkpoint is due every {every} s: `kubectl logs {name} -c spot-sidecar` shows "
        "what delays the uploads; a trainer saves only where it calls run.step()"
    )


def _newest(ledger: Ledger) -> str:
    newest = ledger.checkpoint.newest
    if newest is None:
        return "no checkpoint is known to be committed"
    return f"the newest checkpoint known is of step {newest.ref.step}"
