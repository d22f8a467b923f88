"""Between the trainer's end and its pod's: what may still run there, how long, and who ends it.

The trainer decides when an attempt is over, but a proxy, TensorBoard or a log shipper beside it
would keep the pod, and its GPU, for ever. Where nothing else runs the kubelet ends the pod itself,
and its logs stay; else the sidecar is told, brings in what is left, and we delete the pod then: of
one that is deleted at once a container that does not heed SIGTERM would use up the grace, of which
the kubelet lets the sidecar have the rest.

Every wait is counted from what this leader saw itself: another one begins again.
"""

from datetime import timedelta
from typing import Final

from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import lasted, lost, span
from spot_operator.domain.observed.snapshot import PodView
from spot_operator.domain.state.ledger import RankRecord

LINGERS: Final = timedelta(minutes=5)
"""For a trainer that has said its last word and whose process does not end."""
HALTED: Final = timedelta(minutes=1)
"""For one that its sidecar lets do nothing more: it has no result to finish with."""
KUBELET: Final = timedelta(minutes=1)
"""What the kubelet may need, over the grace, to end a pod in which nothing runs any more."""
OWN_WORDS: Final = frozenset({"Finished", "Paused", "Refused"})
"""Words of a trainer that goes by itself; the others are its sidecar's."""
DURABLE: Final = "Finished"
"""The word that is said once everything is stored."""


def lingers_for(context: Context, record: RankRecord, pod: PodView | None) -> timedelta | None:
    """How much longer a trainer that said its last word may take to end; None: it has said none,
    or is not there."""
    if pod is None or pod.gone or record.word is None or not _runs(pod):
        return None
    patience = LINGERS if record.word.word in OWN_WORDS else HALTED
    return patience - _told_since(context, record)


def pod_stays_for(context: Context, record: RankRecord, pod: PodView) -> timedelta:
    """How much longer the pod, whose trainer is over, may stay before we delete it."""
    if record.lost_at is None or not pod.trainer.ended:
        return timedelta(0)
    grace = span(record.grace)
    if pod.ends_by_itself:
        return grace + KUBELET - _over_since(context, record)
    if _has_stored_all(context, record, pod):
        return timedelta(0)
    return grace - _over_since(context, record)


def needs_the_end_told(context: Context, record: RankRecord, pod: PodView) -> bool:
    """Whether the sidecar must be told that the trainer has ended, for the kubelet does not."""
    over = record.trainer_end is not None and pod.trainer.ended and pod.deletion_at is None
    told = pod.ends_by_itself or pod.told_of_end
    return over and not told and not _has_stored_all(context, record, pod)


def _has_stored_all(context: Context, record: RankRecord, pod: PodView) -> bool:
    """Whether the sidecar has nothing to store any more, by its report or as it does not run."""
    report = context.report_of(record)
    stored = record.word is not None and record.word.word == DURABLE
    settled = stored or (report is not None and report.settled)
    return settled or pod.sidecar.state in {None, "terminated"}


def _runs(pod: PodView) -> bool:
    return pod.trainer.state == "running" and not pod.terminal


def _told_since(context: Context, record: RankRecord) -> timedelta:
    report = context.report_of(record)
    if report is None:
        return span(context.snapshot.visibility.leading_for)
    age = report.step_age if report.word_age is None else report.word_age
    return span(age)


def _over_since(context: Context, record: RankRecord) -> timedelta:
    since = record.lost_at or context.now
    return lasted(context.snapshot, lost(record), since)
