"""How long something has lasted, by what this leader saw itself.

An instant in the ledger or in an object was written by another machine's clock, which may be a day
ahead or behind: the difference to our own clock says nothing. What counts is for how long this
leader has seen the thing, on its monotonic clock. A new leader therefore waits anew, and at most as
long as the whole wait.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Final

from spot_operator.domain.observed.snapshot import PodView, Sign, Snapshot
from spot_operator.domain.state.ledger import ExcludedNode, Ledger, RankRecord

AGAIN: Final = timedelta(hours=1)
"""The most that a new leader waits anew of a wait for which being early only wastes something."""
LONGEST: Final = timedelta(days=400)
"""Longer spans than any of ours; what somebody else wrote must not overflow."""


def span(seconds: float) -> timedelta:
    """So many seconds, at least none and at most `LONGEST`."""
    return timedelta(seconds=min(max(0.0, seconds), LONGEST.total_seconds()))


def lasted(snapshot: Snapshot, sign: Sign, since: datetime) -> timedelta:
    """For how long this leader has seen what `sign` stands for, which is dated `since`."""
    own = snapshot.seen.get(sign)
    if own is not None:
        return span(own)
    # Begun by this very pass; or what saw it is not known, and we saw nothing before we led.
    passed, leading = snapshot.now - since, span(snapshot.visibility.leading_for)
    return leading if passed < timedelta(0) else min(passed, leading)


def left(snapshot: Snapshot, sign: Sign, since: datetime, wait: timedelta) -> timedelta:
    """What is left of a `wait` that must not end early, whatever any clock says."""
    return wait - lasted(snapshot, sign, since)


def left_of_long(snapshot: Snapshot, sign: Sign, since: datetime, wait: timedelta) -> timedelta:
    """What is left of a `wait` that outlives leaders: the wall clock counts for it as well.

    Only beyond `AGAIN`, which this leader waits itself: so much a clock that is ahead cannot skip.
    """
    own = lasted(snapshot, sign, since)
    by_clock = wait - (snapshot.now - since)
    return min(wait - own, max(by_clock, min(wait, AGAIN) - own))


# What may last, each under the name by which its first sight is remembered.


def waiting(ledger: Ledger) -> Sign:
    """The wait before the attempt that follows the newest one."""
    return "waiting", ledger.attempt


def finished(ledger: Ledger) -> Sign:
    """The job is over."""
    return "finished", ledger.attempt


def stopping(ledger: Ledger) -> Sign:
    """The newest attempt is being ended."""
    return "stopping", ledger.attempt


def unranked(ledger: Ledger) -> Sign:
    """The newest attempt is made, and no pod of it is on record."""
    return "unranked", ledger.attempt


def started(record: RankRecord) -> Sign:
    """The rank's trainer runs."""
    return "started", record.uid


def lost(record: RankRecord) -> Sign:
    """The rank was found ended, fenced or missing."""
    return "lost", record.uid


def absent(record: RankRecord) -> Sign:
    """The rank's pod is not there any more."""
    return "absent", record.uid


def troubled(record: RankRecord) -> Sign:
    """The rank's pod cannot start; another family is another trouble."""
    return "trouble", (record.uid, record.trouble and (record.trouble.family, record.trouble.since))


def noticed(record: RankRecord) -> Sign:
    """The rank was warned."""
    return "notice", (record.uid, record.notice and record.notice.kind)


def purging(ledger: Ledger) -> Sign:
    """The try to delete the lineage."""
    return "purge", ledger.purge and ledger.purge.number


def excluded(one: ExcludedNode) -> Sign:
    """The node is avoided."""
    return "excluded", (one.node, one.since)


def deleting(pod: PodView) -> Sign:
    """The pod is being deleted."""
    return "deleting", pod.uid


def placed(pod: PodView) -> Sign:
    """The pod has its node."""
    return "placed", pod.uid


def demoted(policy: str) -> Sign:
    """The policy that ruled the job rules it no more, and a lesser one would."""
    return "demoted", policy


def signs(ledger: Ledger, pods: Collection[PodView]) -> Iterator[Sign]:
    """All that lasts now, of a job's ledger and pods."""
    if ledger.not_before is not None:
        yield waiting(ledger)
    if ledger.current is not None and ledger.current.ended_at is not None:
        yield finished(ledger)
    if ledger.stopping is not None:
        yield stopping(ledger)
    if not ledger.ranks:
        yield unranked(ledger)
    if ledger.purge is not None:
        yield purging(ledger)
    yield from map(excluded, ledger.excluded)
    there = [pod for pod in pods if not pod.gone]
    for record in ledger.ranks:
        yield from _of_rank(record)
        if record.uid not in {pod.uid for pod in there}:
            yield absent(record)
    for pod in pods:
        yield from _of_pod(pod)


def _of_rank(record: RankRecord) -> Iterator[Sign]:
    if record.started is not None:
        yield started(record)
    if record.lost_at is not None:
        yield lost(record)
    if record.trouble is not None:
        yield troubled(record)
    if record.notice is not None:
        yield noticed(record)


def _of_pod(pod: PodView) -> Iterator[Sign]:
    if pod.deletion_at is not None:
        yield deleting(pod)
    if pod.node_name is not None:
        yield placed(pod)
