"""One line on a job that is not over: what it does, or what it waits for and how to help it."""

from datetime import timedelta

from spot_operator.api.names import Ending, Reason, State
from spot_operator.domain.accounts.backoff import wait_left
from spot_operator.domain.attempt.concluding import is_over
from spot_operator.domain.attempt.pod_refusals import with_help
from spot_operator.domain.attempt.start_problems import is_jobs_own, told_as
from spot_operator.domain.attempt.starting import is_held
from spot_operator.domain.formats.timestamps import timestamp
from spot_operator.domain.nodes.overstay import overstay, overstaying
from spot_operator.domain.observed.context import GOING, Context
from spot_operator.domain.state.ledger import AttemptRecord, Ledger


def in_progress(context: Context, ledger: Ledger) -> tuple[Reason | Ending, str]:
    """Reason and message of condition Succeeded while it is Unknown."""
    block = context.policy_block
    if block is not None and _is_blocked(context, ledger):
        return block.reason, f"{block.message}{_undecided(context, ledger)}"
    if context.snapshot.namespace_goes and _needs_pods(context, ledger):
        return Reason.NAMESPACE_TERMINATING, GOING
    if ledger.state is State.WAITING:
        return _waiting(context, ledger)
    if context.barred and context.policy_block is not None:
        return context.policy_block.reason, context.policy_block.message
    if ledger.state is State.STOPPING:
        cause = ledger.stopping.cause if ledger.stopping is not None else None
        why = f": {cause}" if cause is not None else ""
        ending = f"attempt {ledger.attempt} is ending{why}{_held_up(context)}"
        return _refused(context) or (Reason.IN_PROGRESS, ending)
    return _live(context, ledger)


def _needs_pods(context: Context, ledger: Ledger) -> bool:
    """Whether a pod is about to be created, by which we ask again whether any can be."""
    waits = ledger.state is State.WAITING and not is_held(context, ledger)
    return waits or ledger.state is State.CREATING


def _is_blocked(context: Context, ledger: Ledger) -> bool:
    """Whether something waits that the policy block holds back; a running attempt only goes on."""
    if context.job.unreadable or context.barred or ledger.state is State.WAITING:
        return True
    if ledger.state is State.STOPPING:
        return context.in_doubt and is_over(context, ledger)
    return context.in_doubt and ledger.state is State.CREATING


def _undecided(context: Context, ledger: Ledger) -> str:
    over = ledger.state is State.STOPPING and bool(ledger.ranks) and is_over(context, ledger)
    return f"; attempt {ledger.attempt} has ended, and its charge is decided then" if over else ""


def _refused(context: Context) -> tuple[Reason, str] | None:
    """What the API server refuses beside pods, if anything."""
    refusal = next(iter(context.snapshot.refusals), None)
    if refusal is None:
        return None
    message = (
        f"the API server refuses to {refusal.what}; the operator tries again: {refusal.message}"
    )
    return Reason.WRITES_REFUSED, message


def _live(context: Context, ledger: Ledger) -> tuple[Reason | Ending, str]:
    refusal = context.snapshot.refusal
    if ledger.state is State.CREATING and refusal is not None:
        message = (
            f"the API server refuses pod {refusal.pod}; the operator tries again: "
            f"{with_help(refusal.message, refusal.added)}"
        )
        return Reason.PODS_REFUSED, message
    if (refused := _refused(context)) is not None:
        return refused
    trouble = next((one.trouble for one in ledger.ranks if one.trouble is not None), None)
    if trouble is not None:
        message = f"attempt {ledger.attempt} cannot start ({trouble.reason}): {trouble.message}"
        own = is_jobs_own(trouble, started=ledger.has_started)
        return Reason.IN_PROGRESS if own else told_as(trouble), message
    under_way = f"attempt {ledger.attempt} is under way{_but_silent(ledger)}{_held_up(context)}"
    return Reason.IN_PROGRESS, f"{under_way}{_after(ledger)}"


def _waiting(context: Context, ledger: Ledger) -> tuple[Reason | Ending, str]:
    if context.job.refusal is not None:
        return Reason.INVALID_SPEC, context.job.refusal
    if context.job.spec.suspend:
        return Reason.SUSPENDED, "spec.suspend is set"
    if (refused := _refused(context)) is not None:
        return refused
    if ledger.not_before is not None and wait_left(context, ledger) > timedelta(0):
        at = timestamp(ledger.not_before.replace(microsecond=0))
        return Reason.BACKING_OFF, f"attempt {ledger.attempt + 1} starts at {at}{_after(ledger)}"
    about = f"attempt {ledger.attempt + 1} is about to start"
    return Reason.IN_PROGRESS, f"{about}{_held_up(context)}{_after(ledger)}"


def _but_silent(ledger: Ledger) -> str:
    """Condition Running has more; who reads this line alone must not take silence for health."""
    for record in ledger.ranks:
        if record.silent_since is not None:
            return f", but its sidecar has reported nothing since {timestamp(record.silent_since)}"
        if record.still is not None:
            return f", but it has made no step since {timestamp(record.still.since)}"
    return ""


def _held_up(context: Context) -> str:
    late = overstaying(context)
    return f"; {overstay(context, late)}" if late is not None else ""


def _after(ledger: Ledger) -> str:
    ended = next((one for one in reversed(ledger.attempts) if one.ending), None)
    return f"; {_said(ended)}" if ended is not None else ""


def _said(ended: AttemptRecord) -> str:
    charged = f", charged as {ended.charged.lower()}" if ended.charged is not None else ""
    return f"attempt {ended.number} ended {ended.ending}{charged}: {ended.message}"
