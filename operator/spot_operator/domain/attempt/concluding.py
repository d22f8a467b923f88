"""The end of an attempt: recorded once, when every rank of it has ended or is fenced.

One write holds the ending, its charge, the drawn wait and what comes next, so that no crash can
separate them.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

from spot_operator.api.names import Condition, Ending, Reason, State
from spot_operator.domain.accounts.backoff import uncharged_level, wait_after
from spot_operator.domain.accounts.budgets import FINAL, Bill, charge
from spot_operator.domain.accounts.hazard import loss_of
from spot_operator.domain.attempt.endings import REGRANT_FRESH, REGRANTS, Evidence, Verdict, judge
from spot_operator.domain.attempt.failed_attempts import forget_old_lines
from spot_operator.domain.attempt.suspect_checkpoints import exhausted, mark, suspect
from spot_operator.domain.formats.text import CONDITION_MESSAGE, STATUS_MESSAGE, shorten
from spot_operator.domain.job.resume_advice import with_advice
from spot_operator.domain.nodes.exclusions import exclude
from spot_operator.domain.observed import elapsed as signs
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import lasted, left
from spot_operator.domain.state.ledger import (
    AttemptRecord,
    Charge,
    ConditionRecord,
    Ledger,
    RankRecord,
    Stopping,
    Totals,
)

NEVER_MADE_AFTER: Final = timedelta(seconds=10)
"""A pod that was asked for and not seen for so long after the stop does not exist: a POST under way
has failed by then, and what it made would be a pod of an attempt that is over."""
CLEAR: Final = frozenset({Ending.COMPLETED, Ending.SUSPENDED})
"""Endings that stand although a part of the spec cannot be read."""
UNRULED: Final = CLEAR | {Ending.NO_VALID_CHECKPOINT, Ending.TRAINER_REFUSED}
"""Endings of which no policy says what they cost or what follows."""

WELL: Final = frozenset({Ending.COMPLETED, Ending.SUSPENDED})
"""Endings after which nobody asks for the last lines."""


def record_ending(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` after the attempt's ending, once every rank of a stopping attempt has ended."""
    current, stopping = ledger.current, ledger.stopping
    if ledger.state is not State.STOPPING or stopping is None or current is None:
        return ledger
    if not _all_over(context, ledger, stopping):
        return ledger
    verdict = judge(_evidence(context, ledger, current, stopping), stopping)
    if not _may_be_judged(context, verdict):
        return ledger
    concluded = _conclude(context, ledger, current, verdict)
    final = concluded.state is State.FINISHED and verdict.ending is not Ending.COMPLETED
    # A stale view may hide what would have changed it.
    return ledger if final and not context.snapshot.visibility.fresh else concluded


def is_over(context: Context, ledger: Ledger) -> bool:
    """Whether every rank of a stopping attempt has ended: what it costs is not decided yet."""
    stopping = ledger.stopping
    return stopping is not None and _all_over(context, ledger, stopping)


def never_made_in(context: Context, ledger: Ledger, stopping: Stopping) -> timedelta:
    """How long until a pod that was asked for and not seen counts as never made."""
    return left(context.snapshot, signs.stopping(ledger), stopping.since, NEVER_MADE_AFTER)


def _may_be_judged(context: Context, verdict: Verdict) -> bool:
    """While it is not known which rules hold, only what no rule changes is put on record."""
    if not context.in_doubt:
        return True
    return verdict.ending in (CLEAR if context.job.unreadable else UNRULED)


def _all_over(context: Context, ledger: Ledger, stopping: Stopping) -> bool:
    ended = {one.rank: one.ended is not None for one in ledger.ranks}
    return all(
        ended[rank] if rank in ended else _never_was(context, ledger, stopping)
        for rank in range(context.workers)
    )


def _never_was(context: Context, ledger: Ledger, stopping: Stopping) -> bool:
    if stopping.cause is Ending.NOT_PLACED:
        return True
    return never_made_in(context, ledger, stopping) <= timedelta(0)


def _evidence(
    context: Context, ledger: Ledger, current: AttemptRecord, stopping: Stopping
) -> Iterator[Evidence]:
    before = ledger.has_started and ledger.first_started != current.number
    for record in ledger.ranks:
        if record.ended is not None:
            others = any(one.started is not None for one in ledger.ranks if one is not record)
            yield Evidence(
                record=record,
                end=record.ended,
                completion=context.job.spec.completion,
                attempt=current,
                stopped=_by_our_stop(record, stopping),
                proved=before or others,
                proved_before=before and _had_a_state(ledger),
                warned_for=_warned_for(context, record),
                parts=context.job.containers | context.job.volumes,
            )


def _had_a_state(ledger: Ledger) -> bool:
    """Whether a trainer of an earlier attempt was given its state: then there is room for it.

    That its process ran does not say so: a trainer with the SDK asks for its state when it runs.
    """
    given = any(one.resumed in {"fresh", "checkpoint"} for one in ledger.attempts[:-1])
    return given or ledger.checkpoint.newest is not None


def _warned_for(context: Context, record: RankRecord) -> timedelta | None:
    if record.notice is None:
        return None
    return lasted(context.snapshot, signs.noticed(record), record.notice.observed_at)


def _by_our_stop(record: RankRecord, stopping: Stopping) -> bool:
    lost = record.lost_at
    return stopping.cause is not None or lost is None or lost > stopping.since


def _conclude(context: Context, ledger: Ledger, current: AttemptRecord, verdict: Verdict) -> Ledger:
    bill = charge(ledger.budgets, context.policy, verdict.ending, context.now)
    record = replace(
        current,
        ended_at=context.now,
        ending=str(verdict.ending),
        message=shorten(verdict.message, STATUS_MESSAGE),
        charged=bill.charged,
        loss=loss_of(ledger, current, str(verdict.ending)),
        last_lines=_last_lines(ledger, verdict, bill),
    )
    ledger = replace(
        ledger,
        state=State.WAITING,
        stopping=None,
        attempts=(*ledger.attempts[:-1], record),
        budgets=bill.budgets,
        totals=_totals(ledger, bill),
    )
    ledger = forget_old_lines(ledger)
    ledger = _begin_anew(exclude(context, ledger, str(verdict.ending), ledger.ranks))
    return _what_next(context, ledger, record, verdict, bill)


def _last_lines(ledger: Ledger, verdict: Verdict, bill: Bill) -> str:
    """What the first rank that wrote something wrote last, where the attempt failed."""
    if verdict.ending in WELL or bill.charged is Charge.INTERRUPTION:
        return ""
    ends = (one.ended for one in ledger.ranks if one.ended is not None)
    return next((end.last_lines for end in ends if end.last_lines), "")


def _begin_anew(ledger: Ledger) -> Ledger:
    """If no checkpoint was valid the job begins from zero: its script gets no resumeArgs."""
    words = {one.word.word for one in ledger.ranks if one.word is not None}
    if not words & REGRANTS:
        return ledger
    afresh = REGRANT_FRESH in words
    newest = None if afresh else ledger.checkpoint.newest
    return replace(ledger, checkpoint=replace(ledger.checkpoint, newest=newest, afresh=afresh))


def _totals(ledger: Ledger, bill: Bill) -> Totals:
    interrupted = bill.charged is Charge.INTERRUPTION or (
        bill.spent is Reason.INTERRUPTIONS_EXHAUSTED
    )
    return replace(ledger.totals, interruptions=ledger.totals.interruptions + interrupted)


def _what_next(
    context: Context, ledger: Ledger, record: AttemptRecord, verdict: Verdict, bill: Bill
) -> Ledger:
    """Over, or waiting for the next attempt."""
    if verdict.ending in FINAL:
        return finish(context, ledger, verdict.ending, verdict.message)
    if bill.spent is not None:
        return finish(context, ledger, *_spent(context, bill.spent, verdict))
    found = suspect(ledger)
    if found is not None and exhausted(ledger, found):
        return finish(context, ledger, Reason.CHECKPOINTS_SUSPECT, _suspicious(ledger, found))
    return _wait(context, mark(ledger, found) if found is not None else ledger, record)


def _wait(context: Context, ledger: Ledger, record: AttemptRecord) -> Ledger:
    level = ledger.budgets.without_progress
    if record.charged is None:
        level = uncharged_level(ledger.attempts, record.ending or "")
    wait = wait_after(context.policy.backoff, record.charged, level, context.snapshot.draw)
    return replace(ledger, not_before=context.now + wait if wait else None)


def _spent(context: Context, spent: Reason, verdict: Verdict) -> tuple[Ending | Reason, str]:
    """Which budget is used up; the message has the ending that found it so."""
    if spent is Reason.FAILURES_EXHAUSTED:
        failures = context.policy.failures.max
        message = (
            f"SpotPolicy {context.policy_name} allows {failures} failures without progress between "
            f"them, and this is one more ({verdict.ending}: {verdict.message}): correct the cause"
        )
        return spent, message
    allowed = context.policy.interruptions.max
    message = (
        f"SpotPolicy {context.policy_name} allows {allowed} interruptions, and this is one more "
        f"({verdict.ending}: {verdict.message}): ask for a policy that allows more, or for other "
        "capacity"
    )
    return spent, message


def _suspicious(ledger: Ledger, found: str) -> str:
    before = ", ".join(ledger.checkpoint.suspects)
    return (
        f"training failed twice from checkpoint {found}, and before that from {before}: no single "
        "checkpoint is the cause; correct the script or its data"
    )


def finish(context: Context, ledger: Ledger, reason: Ending | Reason, message: str) -> Ledger:
    """`ledger` of a job that is over for that reason, with its verdict."""
    completed = reason is Ending.COMPLETED
    said = message if completed else with_advice(context, ledger, message)
    verdict = ConditionRecord(
        type=Condition.SUCCEEDED,
        status="True" if completed else "False",
        reason=str(reason),
        message=shorten(said, CONDITION_MESSAGE),
        since=context.now,
        observed_generation=context.job.generation,
    )
    others = tuple(one for one in ledger.conditions if one.type is not Condition.SUCCEEDED)
    return replace(
        ledger,
        state=State.FINISHED,
        not_before=None,
        finished_at=context.now,
        conditions=(verdict, *others),
    )
