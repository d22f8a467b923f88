"""The next attempt: its number is taken, and persisted, before its first pod exists."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from spot_operator.api.names import State
from spot_operator.domain.accounts.backoff import wait_left
from spot_operator.domain.nodes.fencing import is_forced
from spot_operator.domain.observed.context import Context
from spot_operator.domain.state.ledger import AttemptRecord, Ledger

ATTEMPTS_KEPT: Final = 20
NEWEST_KEPT: Final = 10
"""Of these, whatever they were: the back-off counts how many ended alike in a row."""


def start_attempt(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` with the next attempt's number taken, when nothing speaks against an attempt."""
    if ledger.state is not State.WAITING or is_held(context, ledger):
        return ledger
    if predecessors(context, ledger.attempt):
        return ledger
    number = ledger.attempt + 1
    record = AttemptRecord(number=number, created_at=context.now)
    return replace(
        ledger,
        attempt=number,
        state=State.CREATING,
        not_before=None,
        ranks=(),
        attempts=_kept((*ledger.attempts, record)),
        checkpoint=replace(ledger.checkpoint, attempt_commits=0),
    )


def _kept(attempts: tuple[AttemptRecord, ...]) -> tuple[AttemptRecord, ...]:
    """The newest records; an outage of hours must not drive out those of attempts that trained."""
    if len(attempts) <= ATTEMPTS_KEPT:
        return attempts
    older = enumerate(attempts[:-NEWEST_KEPT])
    idle = next((k for k, one in older if one.running_at is None and one.charged is None), 0)
    return attempts[:idle] + attempts[idle + 1 :]


def seal_creation(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` Created once every pod was seen: none of this attempt is created after that."""
    if ledger.state is not State.CREATING or len(ledger.ranks) < context.workers:
        return ledger
    return replace(ledger, state=State.CREATED)


def is_held(context: Context, ledger: Ledger) -> bool:
    """Whether the user, the policy or the back-off holds the next attempt back."""
    wished = not context.job.spec.suspend
    allowed = context.policy_block is None and context.job.refusal is None
    due = wait_left(context, ledger) <= timedelta(0)
    return not (wished and allowed and due)


def predecessors(context: Context, attempt: int) -> bool:
    """Whether a pod that is not of the attempt after `attempt` is in the way (invariant I1).

    The ledger knows how each rank it saw ended. Left over are a pod that a former leader's late
    POST made, which must end, and one on a fenced node, which we delete by force first.
    """
    return any(
        pod.name != context.pod_name(attempt + 1, pod.rank)
        and not pod.terminal
        and not is_forced(pod)
        for pod in context.present()
    )
