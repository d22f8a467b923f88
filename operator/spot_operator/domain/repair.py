"""A status that others changed: people with `--subresource=status`, a backup that was restored.

Whoever may write a status may write any that the schema allows. What contradicts itself would hold
a job for ever, and a number that went back would start an attempt beside a live one. So the pods
count too: an attempt that they show has begun, whatever the status says of it.
"""

from dataclasses import replace

from spot_operator.api.names import Condition, Ending, State
from spot_operator.domain.attempt.concluding import finish
from spot_operator.domain.attempt.starting import ATTEMPTS_KEPT
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.snapshot import JobView
from spot_operator.domain.state.ledger import AttemptRecord, Ledger, Stopping

UNDER_WAY = frozenset({State.CREATING, State.CREATED, State.STOPPING})


def of_this_job(ledger: Ledger, job: JobView) -> Ledger:
    """`ledger` of `job`; an empty one where it was another's, of whom this is a copy or a restore.

    That one's checkpoints are not this one's: its status would promise a state that is not there.
    """
    return ledger if ledger.job_uid in {"", job.uid} else Ledger()


def repair(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` without contradictions, and with no attempt that the pods know and it does not."""
    return _consistent(context, _caught_up(context, ledger))


def _caught_up(context: Context, ledger: Ledger) -> Ledger:
    """A number is never used again. Where our own copy is old the write is refused."""
    told = [one.number for one in ledger.attempts]
    seen = [pod.attempt for pod in context.present() if context.is_named(pod)]
    highest = max((*told, *seen), default=0)
    if highest <= ledger.attempt or ledger.state is State.FINISHED:
        return ledger
    if highest not in seen or highest in told:
        return replace(ledger, attempt=highest)
    return replace(
        ledger,
        attempt=highest,
        state=State.CREATED,
        stopping=None,
        not_before=None,
        ranks=(),
        attempts=(*ledger.attempts, AttemptRecord(highest, context.now))[-ATTEMPTS_KEPT:],
        checkpoint=replace(ledger.checkpoint, attempt_commits=0),
    )


def _consistent(context: Context, ledger: Ledger) -> Ledger:
    if ledger.state not in UNDER_WAY:
        calm = ledger if ledger.stopping is None else replace(ledger, stopping=None)
        return _judged(context, calm) if ledger.state is State.FINISHED else calm
    if ledger.attempt == 0:
        return replace(ledger, state=State.WAITING, stopping=None)
    if ledger.current is None or ledger.current.number != ledger.attempt:
        record = AttemptRecord(number=ledger.attempt, created_at=context.now)
        ledger = replace(ledger, attempts=(*ledger.attempts, record)[-ATTEMPTS_KEPT:])
    if ledger.state is State.STOPPING or ledger.stopping is not None:
        stopping = ledger.stopping or Stopping(context.now)
        return replace(ledger, state=State.STOPPING, stopping=stopping)
    return ledger


def _judged(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` of a job that is over with its verdict, which people wait for: it follows from how
    the last attempt ended."""
    verdict, last = ledger.condition(Condition.SUCCEEDED), ledger.current
    if verdict is not None and verdict.status != "Unknown":
        return ledger
    ending = last.ending if last is not None else None
    if last is None or ending is None or ending not in set(Ending):
        reason, said = Ending.UNKNOWN, "the status says so, and not why"
    else:
        reason, said = Ending(ending), last.message
    over = finish(context, ledger, reason, said)
    ended_at = last.ended_at if last is not None else None
    return replace(over, finished_at=ledger.finished_at or ended_at or context.now)
