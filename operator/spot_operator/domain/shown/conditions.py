"""What a person reads of the job: six conditions, each with a reason and what can be done.

A condition's time changes only with its status. No message carries a figure that moves by itself,
for a job at rest is not written.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from spot_operator.api.names import Condition, Reason, State
from spot_operator.domain.accounts.time_buckets import is_placed
from spot_operator.domain.formats.text import CONDITION_MESSAGE, shorten
from spot_operator.domain.formats.timestamps import timestamp
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.snapshot import PodView
from spot_operator.domain.shown.checkpoints_condition import saving, unsaved_work
from spot_operator.domain.shown.finding import Finding
from spot_operator.domain.shown.loss_bound import loss_bound
from spot_operator.domain.shown.running_condition import running
from spot_operator.domain.shown.summary import in_progress
from spot_operator.domain.state.ledger import ConditionRecord, Ledger

UNSEEN: Final = timedelta(minutes=5)
"""A scheduler that is there says something of a pod within seconds."""

Judge = Callable[[Context, Ledger], Finding | None]


def explain(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` with conditions that say how things stand."""
    conditions = tuple(
        _condition(context, ledger, kind, judge(context, ledger)) for kind, judge in JUDGES.items()
    )
    ruled = not context.in_doubt
    return replace(
        ledger,
        conditions=tuple(one for one in conditions if one is not None),
        observed_generation=context.job.generation,
        policy=context.policy_name if ruled else ledger.policy,
        policy_claim=context.policy_claim if ruled else ledger.policy_claim,
    )


def explain_running(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` with condition Running alone brought up to date."""
    made = _condition(context, ledger, Condition.RUNNING, running(context, ledger))
    others = tuple(one for one in ledger.conditions if one.type is not Condition.RUNNING)
    return ledger if made is None else replace(ledger, conditions=in_order((*others, made)))


def in_order(conditions: Iterable[ConditionRecord]) -> tuple[ConditionRecord, ...]:
    """The conditions as people find them everywhere: the summary first."""
    order = tuple(JUDGES)
    return tuple(sorted(conditions, key=lambda one: order.index(one.type)))


def _condition(
    context: Context, ledger: Ledger, kind: Condition, found: Finding | None
) -> ConditionRecord | None:
    """The condition as found; None keeps what stands, for nothing new is known."""
    before = ledger.condition(kind)
    if found is None:
        return before and replace(before, observed_generation=context.job.generation)
    same = before is not None and before.status == found.status
    return ConditionRecord(
        type=kind,
        status=found.status,
        reason=str(found.reason),
        message=shorten(found.message, CONDITION_MESSAGE),
        since=before.since if before is not None and same else context.now,
        observed_generation=context.job.generation,
    )


def _succeeded(context: Context, ledger: Ledger) -> Finding | None:
    if ledger.state is State.FINISHED:
        return None
    reason, message = in_progress(context, ledger)
    return Finding("Unknown", reason, message)


def _suspended(context: Context, ledger: Ledger) -> Finding:
    if not context.job.spec.suspend or ledger.state is State.FINISHED:
        return Finding("False", Reason.NOT_SUSPENDED, "the job is not suspended")
    if ledger.state is State.WAITING:
        message = "spec.suspend is set; set it to false to go on from the newest checkpoint"
        return Finding("True", Reason.SUSPENDED, message)
    return Finding("False", Reason.SUSPENDING, f"attempt {ledger.attempt} saves its state and ends")


def _capacity(context: Context, ledger: Ledger) -> Finding | None:
    if ledger.state in {State.WAITING, State.FINISHED}:
        return Finding("Unknown", Reason.NOT_NEEDED, "no attempt needs capacity now")
    if ledger.state is State.STOPPING:
        return None
    if is_placed(ledger) and len(ledger.ranks) == context.workers:
        return Finding("True", Reason.PLACED, "every pod has its node")
    for record in ledger.ranks:
        pod = context.pod_of(record)
        if pod is not None and pod.unschedulable:
            message = f"pod {pod.name} waits for a node. The scheduler says: {pod.unschedulable}"
            return Finding("False", Reason.UNSCHEDULABLE, message)
    unseen = next((pod for pod in context.present() if _is_unseen(context, ledger, pod)), None)
    if unseen is not None:
        return Finding("False", Reason.NOT_SCHEDULED, _unseen(unseen))
    return Finding("Unknown", Reason.PLACING, "pods are being created and placed")


def unseen_in(context: Context, pod: PodView) -> timedelta:
    """How long until it is worth telling that no scheduler has looked at `pod`."""
    leading = timedelta(seconds=context.snapshot.visibility.leading_for)
    return UNSEEN - min(leading, context.now - (pod.created_at or context.now))


def _is_unseen(context: Context, ledger: Ledger, pod: PodView) -> bool:
    """Whether no scheduler has said a word of `pod` for long; the last leader's word stands."""
    if pod.attempt != ledger.attempt or pod.node_name is not None or pod.deletion_at is not None:
        return False
    before = ledger.condition(Condition.CAPACITY_AVAILABLE)
    known = before is not None and before.reason == Reason.NOT_SCHEDULED
    return known or unseen_in(context, pod) <= timedelta(0)


def _unseen(pod: PodView) -> str:
    since = f" since {timestamp(pod.created_at)}" if pod.created_at is not None else ""
    if pod.gated:
        return (
            f"pod {pod.name} has schedulingGates{since}, and no scheduler looks at it before they "
            f"are gone: `kubectl get pod {pod.name} -o yaml` names them, a queue or a webhook put "
            "them there and has to remove them"
        )
    return (
        f"no scheduler has placed pod {pod.name} or said why not{since}: check that the scheduler "
        "named by spec.template.spec.schedulerName runs"
    )


def _loss_bound(context: Context, ledger: Ledger) -> Finding | None:
    if ledger.state is State.FINISHED:
        return None
    unsure = unsaved_work(context, ledger)
    if unsure is not None and context.max_lost_work is not None:
        return unsure
    found = loss_bound(context, ledger)
    return Finding(found.status, found.reason, found.message)


JUDGES: Final[dict[Condition, Judge]] = {
    Condition.SUCCEEDED: _succeeded,
    Condition.RUNNING: running,
    Condition.SUSPENDED: _suspended,
    Condition.CAPACITY_AVAILABLE: _capacity,
    Condition.CHECKPOINTS_HEALTHY: saving,
    Condition.LOSS_BOUND_FEASIBLE: _loss_bound,
}
