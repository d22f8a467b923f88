"""Where the job's wall time went: every second in exactly one bucket (invariant I8).

Time is cut at every write that changes the stage, on the operator's clock. While an attempt runs
its sidecar's cumulative figures split the time; what they do not cover yet stays open until they
do, or until the stage ends. So the buckets always add up to `since` minus the job's first moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from spot_operator.api.names import Bucket, Condition, Ending, State
from spot_operator.domain.observed.context import Context
from spot_operator.domain.state.ledger import REPORTED, Ledger, TimeLedger, plausible_seconds

ZERO: Final = timedelta(0)
NODE_WENT: Final = frozenset({Ending.NODE_LOST, Ending.PREEMPTED})
"""Endings of which the node's absence is the evidence."""

Seconds = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cut:
    """The moment of a write, as the time ledger sees it."""

    now: datetime
    seconds: Seconds | None
    """The current attempt's cumulative figures, when there is a report."""
    closes: bool
    """The stage ends with this write: no later figure may fill what is still open."""
    fenced: bool = False
    """It ends because a node went silent or away: what is open was spent on being sure of that."""


def open_account(created_at: datetime, now: datetime) -> TimeLedger:
    """The account of a job seen for the first time; clocks may disagree on which came first."""
    return TimeLedger(since=min(created_at, now))


def account(ledger: Ledger, cut: Cut) -> TimeLedger:
    """The time of `ledger`, the one before the write, accounted for until `cut.now`."""
    time = ledger.time
    if time.since is None or ledger.state is State.FINISHED or cut.now <= time.since:
        return time
    if ledger.state is State.WAITING:
        return _waiting(ledger, time, time.since, cut.now)
    if not is_placed(ledger):
        return _spend(time, Bucket.WAITING_FOR_CAPACITY, cut.now - time.since)
    return _running(ledger, time, time.since, cut)


def is_placed(ledger: Ledger) -> bool:
    """Whether every pod of the attempt was seen bound to a node."""
    return bool(ledger.ranks) and all(one.node is not None for one in ledger.ranks)


def spent(time: TimeLedger, bucket: Bucket) -> timedelta:
    """What one bucket holds."""
    return dict(time.buckets).get(bucket, ZERO)


def _waiting(ledger: Ledger, time: TimeLedger, since: datetime, now: datetime) -> TimeLedger:
    suspended = ledger.condition(Condition.SUSPENDED)
    if suspended is not None and suspended.status == "True":
        return _spend(time, Bucket.SUSPENDED, now - since)
    due = min(now, max(since, ledger.not_before or since))
    return _spend(_spend(time, Bucket.BACKOFF, due - since), Bucket.OTHER, now - due)


def _running(ledger: Ledger, time: TimeLedger, since: datetime, cut: Cut) -> TimeLedger:
    heard = bool(time.reported)
    if cut.seconds is not None:
        time = _report(time, cut.seconds, cut.now - since)
    left = cut.now - (time.since or since)
    if heard and not cut.closes:
        return time
    return _spend(time, _unreported(ledger, cut, heard=heard), left)


def _unreported(ledger: Ledger, cut: Cut, *, heard: bool) -> Bucket:
    """Before its first report a sidecar was not up; after its last the attempt drained or died.

    Between a node's last sign and the verdict on it the attempt is ending, as it is between a stop
    and the last pod's end: that is drain as well.
    """
    if ledger.state is State.STOPPING or (heard and cut.fenced):
        return Bucket.DRAIN
    return Bucket.OTHER if heard else Bucket.START_UP


def _report(time: TimeLedger, seconds: Seconds, elapsed: timedelta) -> TimeLedger:
    """`time` with what the figures add to those accounted for, at most `elapsed`."""
    before = dict(time.reported)
    told = {one: timedelta(seconds=plausible_seconds(seconds.get(one, 0.0))) for one in REPORTED}
    new = {one: max(ZERO, told[one] - before.get(one, ZERO)) for one in REPORTED}
    excess = max(ZERO, sum(new.values(), ZERO) - elapsed)
    for bucket in REPORTED:
        cut = min(excess, new[bucket])
        excess -= cut
        time = _spend(time, bucket, new[bucket] - cut)
    reported = tuple((one, max(told[one], before.get(one, ZERO))) for one in REPORTED)
    return replace(time, reported=reported)


def _spend(time: TimeLedger, bucket: Bucket, amount: timedelta) -> TimeLedger:
    if amount <= ZERO or time.since is None:
        return time
    buckets = dict(time.buckets)
    buckets[bucket] = buckets.get(bucket, ZERO) + amount
    ordered = tuple((one, buckets[one]) for one in Bucket if one in buckets)
    return replace(time, since=time.since + amount, buckets=ordered)


def keep_time(context: Context, ledger: Ledger) -> TimeLedger:
    """The time until now, for the write that turns the persisted ledger into `ledger`."""
    old = context.persisted
    if old.time.since is None:
        old = replace(old, time=open_account(context.job.created_at, context.now))
    ends = (old.state, old.attempt) != (ledger.state, ledger.attempt)
    cut = Cut(context.now, _seconds(context, old), closes=ends, fenced=_fenced(old, ledger))
    time = account(old, cut)
    # The next attempt's sidecar counts from zero.
    return time if ledger.attempt == old.attempt else replace(time, reported=())


def _seconds(context: Context, old: Ledger) -> Seconds | None:
    report = context.report_of(old.ranks[0]) if old.ranks else None
    return report.seconds if report is not None else None


def _fenced(old: Ledger, ledger: Ledger) -> bool:
    """Whether a node of the old attempt went away; the next one's start forgets the ranks."""
    if any(one.ended is not None and one.ended.fence is not None for one in ledger.ranks):
        return True
    ended = next((one for one in ledger.attempts if one.number == old.attempt), None)
    return ended is not None and ended.ending in NODE_WENT
