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
from spot_operator.domain.observed.context import Scene
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

SETTLED: Final = timedelta(seconds=10)
"""A pod that was asked for and not seen for so long after the stop does not exist: a POST under way
has failed by then, and what it made would be a pod of an attempt that is over."""
CLEAR: Final = frozenset({Ending.COMPLETED, Ending.SUSPENDED})
"""Endings that stand although a part of the spec cannot be read."""
UNRULED: Final = CLEAR | {Ending.NO_VALID_CHECKPOINT, Ending.TRAINER_REFUSED}
"""Endings of which no policy says what they cost or what follows."""

WELL: Final = frozenset({Ending.COMPLETED, Ending.SUSPENDED})
"""Endings after which nobody asks for the last lines."""


def record_ending(scene: Scene, ledger: Ledger) -> Ledger:
    """`ledger` after the attempt's ending, once every rank of a stopping attempt has ended."""
    current, stopping = ledger.current, ledger.stopping
    if ledger.state is not State.STOPPING or stopping is None or current is None:
        return ledger
    if not _all_over(scene, ledger, stopping):
        return ledger
    verdict = judge(_evidence(scene, ledger, current, stopping), stopping)
    if not _may_be_judged(scene, verdict):
        return ledger
    settled = _settle(scene, ledger, current, verdict)
    final = settled.state is State.FINISHED and verdict.ending is not Ending.COMPLETED
    # A stale view may hide what would have changed it.
    return ledger if final and not scene.snapshot.sight.fresh else settled


def is_over(scene: Scene, ledger: Ledger) -> bool:
    """Whether every rank of a stopping attempt has ended: what it costs is not decided yet."""
    stopping = ledger.stopping
    return stopping is not None and _all_over(scene, ledger, stopping)


def settled_in(scene: Scene, ledger: Ledger, stopping: Stopping) -> timedelta:
    """How long until a pod that was asked for and not seen counts as never made."""
    return left(scene.snapshot, signs.stopping(ledger), stopping.since, SETTLED)


def _may_be_judged(scene: Scene, verdict: Verdict) -> bool:
    """While it is not known which rules hold, only what no rule changes is put on record."""
    if not scene.in_doubt:
        return True
    return verdict.ending in (CLEAR if scene.job.unreadable else UNRULED)


def _all_over(scene: Scene, ledger: Ledger, stopping: Stopping) -> bool:
    records = {one.rank: one for one in ledger.ranks}
    return all(
        records[rank].ended is not None if rank in records else _never_was(scene, ledger, stopping)
        for rank in range(scene.workers)
    )


def _never_was(scene: Scene, ledger: Ledger, stopping: Stopping) -> bool:
    if stopping.cause is Ending.NOT_PLACED:
        return True
    return settled_in(scene, ledger, stopping) <= timedelta(0)


def _evidence(
    scene: Scene, ledger: Ledger, current: AttemptRecord, stopping: Stopping
) -> Iterator[Evidence]:
    before = ledger.has_started and ledger.first_started != current.number
    for record in ledger.ranks:
        if record.ended is not None:
            others = any(one.started is not None for one in ledger.ranks if one is not record)
            yield Evidence(
                record=record,
                end=record.ended,
                completion=scene.job.spec.completion,
                attempt=current,
                stopped=_by_our_stop(record, stopping),
                proved=before or others,
                proved_before=before and _had_a_state(ledger),
                warned_for=_warned_for(scene, record),
                parts=scene.job.containers | scene.job.volumes,
            )


def _had_a_state(ledger: Ledger) -> bool:
    """Whether a trainer of an earlier attempt was given its state: then there is room for it.

    That its process ran does not say so: a trainer with the SDK asks for its state when it runs.
    """
    given = any(one.resumed in {"fresh", "checkpoint"} for one in ledger.attempts[:-1])
    return given or ledger.checkpoint.newest is not None


def _warned_for(scene: Scene, record: RankRecord) -> timedelta | None:
    if record.notice is None:
        return None
    return lasted(scene.snapshot, signs.noticed(record), record.notice.observed_at)


def _by_our_stop(record: RankRecord, stopping: Stopping) -> bool:
    lost = record.lost_at
    return stopping.cause is not None or lost is None or lost > stopping.since


def _settle(scene: Scene, ledger: Ledger, current: AttemptRecord, verdict: Verdict) -> Ledger:
    bill = charge(ledger.budgets, scene.policy, verdict.ending, scene.now)
    record = replace(
        current,
        ended_at=scene.now,
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
    ledger = _begin_anew(exclude(scene, ledger, str(verdict.ending), ledger.ranks))
    return _what_next(scene, ledger, record, verdict, bill)


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
    scene: Scene, ledger: Ledger, record: AttemptRecord, verdict: Verdict, bill: Bill
) -> Ledger:
    """Over, or waiting for the next attempt."""
    if verdict.ending in FINAL:
        return finish(scene, ledger, verdict.ending, verdict.message)
    if bill.spent is not None:
        return finish(scene, ledger, *_spent(scene, bill.spent, verdict))
    found = suspect(ledger)
    if found is not None and exhausted(ledger, found):
        return finish(scene, ledger, Reason.CHECKPOINTS_SUSPECT, _suspicious(ledger, found))
    return _wait(scene, mark(ledger, found) if found is not None else ledger, record)


def _wait(scene: Scene, ledger: Ledger, record: AttemptRecord) -> Ledger:
    level = ledger.budgets.without_progress
    if record.charged is None:
        level = uncharged_level(ledger.attempts, record.ending or "")
    wait = wait_after(scene.policy.backoff, record.charged, level, scene.snapshot.draw)
    return replace(ledger, not_before=scene.now + wait if wait else None)


def _spent(scene: Scene, spent: Reason, verdict: Verdict) -> tuple[Ending | Reason, str]:
    """Which budget is used up; the message has the ending that found it so."""
    if spent is Reason.FAILURES_EXHAUSTED:
        failures = scene.policy.failures.max
        message = (
            f"SpotPolicy {scene.policy_name} allows {failures} failures without progress between "
            f"them, and this is one more ({verdict.ending}: {verdict.message}): correct the cause"
        )
        return spent, message
    allowed = scene.policy.interruptions.max
    message = (
        f"SpotPolicy {scene.policy_name} allows {allowed} interruptions, and this is one more "
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


def finish(scene: Scene, ledger: Ledger, reason: Ending | Reason, message: str) -> Ledger:
    """`ledger` of a job that is over for that reason, with its verdict."""
    completed = reason is Ending.COMPLETED
    said = message if completed else with_advice(scene, ledger, message)
    verdict = ConditionRecord(
        type=Condition.SUCCEEDED,
        status="True" if completed else "False",
        reason=str(reason),
        message=shorten(said, CONDITION_MESSAGE),
        since=scene.now,
        observed_generation=scene.job.generation,
    )
    others = tuple(one for one in ledger.conditions if one.type is not Condition.SUCCEEDED)
    return replace(
        ledger,
        state=State.FINISHED,
        not_before=None,
        finished_at=scene.now,
        conditions=(verdict, *others),
    )
