"""When a live attempt must end: a rank of it is lost, or one of the causes that are ours."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

from spot_operator.api.names import Ending, Reason, State
from spot_operator.domain.attempt.pod_refusals import is_templates
from spot_operator.domain.attempt.ranks import is_seen
from spot_operator.domain.attempt.start_problems import ending_by
from spot_operator.domain.formats.text import STATUS_MESSAGE, shorten
from spot_operator.domain.nodes.exclusions import freed
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import left, span, troubled, unranked
from spot_operator.domain.observed.snapshot import HEARD_SECONDS, ReportView
from spot_operator.domain.state.ledger import Ledger, RankRecord, Stopping

UNRANKED: Final = timedelta(seconds=10)
"""For a pod of an attempt that is made to be seen, where none is on record."""
UNPROCESSABLE: Final = frozenset({400, 422})
"""What the API server answers to a pod that can never be created."""
STARTLESS: Final = {
    "Finished": Ending.COMPLETED,
    "NoValidCheckpoint": Ending.NO_VALID_CHECKPOINT,
    "BadNode": Ending.BAD_NODE,
    "Resurrected": Ending.RESURRECTED,
    "RegrantResume": Ending.REGRANTED,
    "RegrantFresh": Ending.REGRANTED,
    "StartFailed": Ending.START_FAILED,
    "UnsupportedCheckpoint": Ending.START_FAILED,
    "Superseded": Ending.UNKNOWN,
}
"""What a sidecar says that does not let the trainer start, and how the attempt ends by it."""
LIVE: Final = frozenset({State.CREATING, State.CREATED})

Cause = Callable[[Context, Ledger], Stopping | None]


def begin_stop(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` stopping, if the attempt must end; nothing of it is created from then on."""
    if ledger.state not in LIVE:
        return ledger
    if any(one.lost_at is not None for one in ledger.ranks):
        return _stopping(ledger, Stopping(context.now))
    missing = unranked_left(context, ledger)
    if missing is not None and missing <= timedelta(0):
        return _stopping(ledger, Stopping(context.now))
    if context.job.unreadable:
        return ledger
    found = next(_causes(context, ledger), None)
    return ledger if found is None else _stopping(ledger, found)


def unranked_left(context: Context, ledger: Ledger) -> timedelta | None:
    """How long until an attempt without a rank on record is over; None: it has one.

    Somebody took it out of the status, and its pod has not been seen since.
    """
    if ledger.state is not State.CREATED or ledger.ranks or ledger.current is None:
        return None
    return left(context.snapshot, unranked(ledger), ledger.current.created_at, UNRANKED)


def stall_deadline(context: Context, record: RankRecord) -> timedelta | None:
    """How long until the rank counts as stalled; None when it cannot."""
    limit, report = context.job.spec.stall_timeout, context.report_of(record)
    if limit is None or report is None or not _makes_steps(report):
        return None
    return limit - timedelta(seconds=report.step_age)


def _stopping(ledger: Ledger, stopping: Stopping) -> Ledger:
    short = replace(stopping, message=shorten(stopping.message, STATUS_MESSAGE))
    return replace(ledger, state=State.STOPPING, stopping=short)


def _causes(context: Context, ledger: Ledger) -> Iterator[Stopping]:
    for cause in CAUSES:
        found = cause(context, ledger)
        if found is not None:
            yield found


def _suspended(context: Context, _ledger: Ledger) -> Stopping | None:
    if not context.job.spec.suspend:
        return None
    return Stopping(context.now, Ending.SUSPENDED, "spec.suspend was set")


def _name_taken(context: Context, ledger: Ledger) -> Stopping | None:
    if ledger.state is not State.CREATING:
        return None
    known = {one.rank for one in ledger.ranks}
    names = [context.pod_name(ledger.attempt, rank) for rank in range(context.workers)]
    taken = [name for rank, name in enumerate(names) if rank not in known]
    foreign = next((name for name in taken if name in context.snapshot.foreign), None)
    if foreign is None:
        return None
    message = f"pod {foreign} exists already and does not belong to this job"
    return Stopping(context.now, Ending.NOT_PLACED, message)


def _freed(context: Context, ledger: Ledger) -> Stopping | None:
    """What a pod requires cannot be changed: one that could have more nodes by now is replaced."""
    for record in ledger.ranks:
        pod = context.pod_of(record)
        nodes = freed(context, ledger, pod) if pod is not None and not pod.gone else ()
        if pod is not None and nodes:
            message = (
                f"no node took pod {pod.name}, which had to avoid {', '.join(nodes)}; a new pod "
                "may go there"
            )
            return Stopping(context.now, Ending.NOT_PLACED, message)
    return None


def _refused(context: Context, ledger: Ledger) -> Stopping | None:
    refusal = context.snapshot.refusal
    if ledger.state is not State.CREATING or refusal is None or refusal.code not in UNPROCESSABLE:
        return None
    if refusal.by_webhook:
        # Its rules may change, or it may have stumbled itself: the template is not at fault for it.
        return None
    if refusal.pod != context.pod_name(ledger.attempt, _rank_of(refusal.pod)):
        return None
    if not is_templates(refusal.message, refusal.added):
        # A limit of the namespace, or a part of the pod that is ours or a webhook's: it may be
        # mended, and the condition says by whom.
        return None
    if ledger.has_started:
        message = (
            "the API server refuses a pod that it accepted before; ask who changed what the "
            f"cluster admits: {refusal.message}"
        )
        return Stopping(context.now, Ending.PLATFORM_TROUBLE, message)
    message = f"the API server refuses the pod; correct spec.template: {refusal.message}"
    return Stopping(context.now, Ending.START_FAILED, message)


def _rank_of(pod_name: str) -> int:
    digits = pod_name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else -1


def _cannot_start(context: Context, ledger: Ledger) -> Stopping | None:
    for record in ledger.ranks:
        if record.trouble is None or not is_seen(context, record):
            # It may be over by now, and the trainer at work.
            continue
        if trouble_left(context, record) <= timedelta(0):
            ending = ending_by(record.trouble, started=ledger.has_started)
            return Stopping(context.now, ending, record.trouble.message)
    return None


def trouble_left(context: Context, record: RankRecord) -> timedelta:
    """How long the trouble of the rank, which must have one, is still borne."""
    trouble = record.trouble
    if trouble is None:
        raise ValueError(f"rank {record.rank} has no trouble")
    return left(context.snapshot, troubled(record), trouble.since, span(trouble.patience))


def _stalled(context: Context, ledger: Ledger) -> Stopping | None:
    for record in ledger.ranks:
        left = stall_deadline(context, record)
        report = context.report_of(record)
        if left is not None and left <= timedelta(0) and report is not None:
            limit = context.job.spec.stall_timeout
            message = f"the trainer made no step after {report.step} for {limit}"
            return Stopping(context.now, Ending.STALLED, message)
    return None


def _makes_steps(report: ReportView) -> bool:
    """Between its own first step and its end, not in an announced silence, and heard of."""
    training = report.state == "Training" and report.registered and report.steps_itself
    return training and report.busy is None and report.age < HEARD_SECONDS


def _no_progress(context: Context, ledger: Ledger) -> Stopping | None:
    """Judged once the attempt has told its choice, which may prove a checkpoint unheard of."""
    current, limit = ledger.current, ledger.budgets.progress_limit
    chosen = current is not None and current.resumed in {"fresh", "checkpoint"}
    if not chosen or limit is None or context.in_doubt:
        return None
    message = (
        f"{ledger.budgets.without_progress} attempts in a row ended without a checkpoint of a "
        f"later step, and SpotPolicy {context.policy_name} allowed {limit}: checkpoint more often "
        "(spec.checkpoint.interval), or find what ends the attempts so early"
    )
    return Stopping(context.now, Reason.NO_PROGRESS, message)


def _never_to_start(context: Context, ledger: Ledger) -> Stopping | None:
    """A script without the SDK is held back by its sidecar, whose word is final."""
    if not context.is_script:
        return None
    for record in ledger.ranks:
        ending = STARTLESS.get(record.word.word) if record.word is not None else None
        if ending is not None and record.started is None and record.word is not None:
            if ending is Ending.START_FAILED and ledger.has_started:
                # The store or a gang-mate, for the script itself has begun before.
                ending = Ending.PLATFORM_TROUBLE
            return Stopping(context.now, ending, record.word.reason)
    return None


def _told_to_end(context: Context, ledger: Ledger) -> Stopping | None:
    """A script that knows SIGTERM alone is told at once, to have the whole notice to save in."""
    if not context.is_script:
        return None
    for record in ledger.ranks:
        notice = record.notice
        if notice is not None and notice.kind == "Preempt" and record.started is not None:
            message = f"{notice.source} announced the end of the node: {notice.raw}"
            return Stopping(context.now, Ending.PREEMPTED, message)
    return None


CAUSES: Final[tuple[Cause, ...]] = (
    _name_taken,
    _suspended,
    _freed,
    _never_to_start,
    _told_to_end,
    _refused,
    _cannot_start,
    _stalled,
    _no_progress,
)
