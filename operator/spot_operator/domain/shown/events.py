"""Kubernetes Events on the job, read off what a write changed; emitted once it succeeded."""

from collections.abc import Iterator
from typing import Final, Literal

from spot_operator.api.events import Event
from spot_operator.api.names import Condition, Ending, Reason, State
from spot_operator.domain.actions import Note
from spot_operator.domain.formats.text import CONDITION_MESSAGE, shorten
from spot_operator.domain.formats.timestamps import timestamp
from spot_operator.domain.state.ledger import AttemptRecord, Ledger, RankRecord

QUIET: Final = frozenset({Ending.COMPLETED, Ending.PAUSED, Ending.SUSPENDED})
"""Endings that went as they should."""
STANDING: Final[dict[Reason, tuple[Literal["Normal", "Warning"], Event]]] = {
    Reason.BACKING_OFF: ("Normal", Event.BACKING_OFF),
    Reason.SUSPENDED: ("Normal", Event.SUSPENDED),
    Reason.PODS_REFUSED: ("Warning", Event.PODS_REFUSED),
    Reason.REGISTRY_TROUBLE: ("Warning", Event.PLATFORM_TROUBLE),
    Reason.VOLUME_TROUBLE: ("Warning", Event.PLATFORM_TROUBLE),
    Reason.NODE_TROUBLE: ("Warning", Event.PLATFORM_TROUBLE),
    Reason.SIDECAR_TROUBLE: ("Warning", Event.PLATFORM_TROUBLE),
    Reason.CRDS_OUTDATED: ("Warning", Event.CRDS_OUTDATED),
    Reason.NAMESPACE_TERMINATING: ("Warning", Event.NAMESPACE_TERMINATING),
    Reason.INVALID_SPEC: ("Warning", Event.INVALID_SPEC),
    Reason.POLICY_NOT_FOUND: ("Warning", Event.INVALID_SPEC),
    Reason.POLICY_NOT_ALLOWED: ("Warning", Event.INVALID_SPEC),
    Reason.POLICY_AMBIGUOUS: ("Warning", Event.INVALID_SPEC),
    Reason.POLICY_UNREADABLE: ("Warning", Event.INVALID_SPEC),
    Reason.POLICY_GONE: ("Warning", Event.INVALID_SPEC),
}
"""What the summary may come to say that is worth an event."""
TOLD: Final = {
    (Condition.RUNNING, Reason.REPORTS_SILENT): Event.REPORTS_SILENT,
    (Condition.RUNNING, Reason.NOT_STEPPING): Event.NOT_STEPPING,
    (Condition.RUNNING, Reason.NOT_REGISTERED): Event.NOT_REGISTERED,
    (Condition.RUNNING, Reason.POD_NOT_ENDING): Event.POD_NOT_ENDING,
    (Condition.CHECKPOINTS_HEALTHY, Reason.CHECKPOINT_OVERDUE): Event.CHECKPOINT_OVERDUE,
}
"""What a condition may come to say that is worth an event."""
CHOICES: Final = {
    "fresh": "starts from the beginning",
    "completed": "found the job completed",
    "stop": "was told by its sidecar to stop",
}


def events(old: Ledger, new: Ledger) -> tuple[Note, ...]:
    """The events of the step from `old` to `new`, in the order in which things happened."""
    found = (
        *_notices(old, new),
        *_resumed(old, new),
        *_checkpoints(old, new),
        *_loss_bound(old, new),
        *_told(old, new),
        *_purged(old, new),
        *_ended(old, new),
        *_finished(old, new),
        *_standing(old, new),
        *_created(old, new),
    )
    return tuple(
        Note(one.type, one.reason, shorten(one.message, CONDITION_MESSAGE)) for one in found
    )


def _notices(old: Ledger, new: Ledger) -> Iterator[Note]:
    known = {one.uid: one.notice for one in old.ranks}
    for record in new.ranks:
        if record.notice is not None and record.notice != known.get(record.uid):
            yield _normal(Event.NOTICE, _announced(new, record))


def _announced(ledger: Ledger, record: RankRecord) -> str:
    notice = record.notice
    if notice is None:
        return ""
    where = record.node.name if record.node is not None else f"rank {record.rank}"
    until = f", by {timestamp(notice.deadline)}" if notice.deadline is not None else ""
    return f"attempt {ledger.attempt}: {notice.kind} of {where}{until} ({notice.source})"


def _resumed(old: Ledger, new: Ledger) -> Iterator[Note]:
    before, now = _by_number(old), new.current
    known = before.get(now.number) if now is not None else None
    if now is None or now.resumed is None or (known is not None and known.resumed is not None):
        return
    source = now.resumed_from
    text = CHOICES.get(now.resumed, "resumed")
    if source is not None:
        whose = ", of the lineage that resumeFrom names" if now.inherited else ""
        text = (
            f"resumed from step {source.step} ({source.id}{whose}), "
            f"replays {now.replayed_steps} steps"
        )
    yield _normal(Event.RESUMED, f"attempt {now.number} {text}")


def _checkpoints(old: Ledger, new: Ledger) -> Iterator[Note]:
    newest = new.checkpoint.newest
    if newest is not None and old.checkpoint.newest is None:
        text = f"the first checkpoint, of step {newest.ref.step}, is committed ({newest.ref.id})"
        yield _normal(Event.FIRST_CHECKPOINT, text)
    for name in new.checkpoint.suspects:
        if name not in old.checkpoint.suspects:
            text = f"training failed twice from checkpoint {name}; the one before is tried next"
            yield Note("Warning", Event.CHECKPOINT_SUSPECT, text)


def _loss_bound(old: Ledger, new: Ledger) -> Iterator[Note]:
    kind = Condition.LOSS_BOUND_FEASIBLE
    before, now = old.condition(kind), new.condition(kind)
    if now is None or (before is not None and before.status == now.status):
        return
    if now.status == "True":
        yield _normal(Event.LOSS_BOUND_KEPT, now.message)
    elif now.status == "False":
        yield _warning(Event.LOSS_BOUND_EXCEEDED, now.message)


def _told(old: Ledger, new: Ledger) -> Iterator[Note]:
    """What a person should hear of at once, for nothing else will come of it."""
    for (kind, reason), event in TOLD.items():
        before, now = old.condition(kind), new.condition(kind)
        if now is not None and now.reason == reason and not (before and before.reason == reason):
            yield _warning(event, now.message)


def _purged(old: Ledger, new: Ledger) -> Iterator[Note]:
    before, now = old.purge, new.purge
    if now is None or now == before:
        return
    if now.outcome == "Deleted":
        yield _normal(Event.CHECKPOINTS_DELETED, now.message)
    elif now.outcome == "Left":
        yield _warning(Event.CHECKPOINTS_LEFT, now.message)
    elif before is not None:
        yield _warning(Event.PURGE_FAILED, now.message)


def _ended(old: Ledger, new: Ledger) -> Iterator[Note]:
    before = _by_number(old)
    for record in new.attempts:
        known = before.get(record.number)
        if record.ending is not None and (known is None or known.ending is None):
            yield from _ending(record)
    nodes = {one.node for one in old.excluded}
    for one in new.excluded:
        if one.node not in nodes:
            yield _normal(Event.NODE_EXCLUDED, f"new pods avoid node {one.node.name}: {one.reason}")


def _ending(record: AttemptRecord) -> Iterator[Note]:
    charged = f"charged as {record.charged.lower()}" if record.charged else "not charged"
    text = f"attempt {record.number} ended {record.ending} ({charged}): {record.message}"
    yield (_normal if record.ending in QUIET else _warning)(Event.ATTEMPT_ENDED, text)
    if record.ending == Ending.NODE_LOST:
        yield _warning(Event.NODE_LOST, record.message)


def _finished(old: Ledger, new: Ledger) -> Iterator[Note]:
    verdict = new.condition(Condition.SUCCEEDED)
    if new.state is not State.FINISHED or old.state is State.FINISHED or verdict is None:
        return
    if verdict.status == "True":
        yield _normal(Event.COMPLETED, verdict.message)
    else:
        yield _warning(Event.FAILED, f"{verdict.reason}: {verdict.message}")


def _standing(old: Ledger, new: Ledger) -> Iterator[Note]:
    """What the summary came to say: a policy block, a refusal, a wait."""
    before, now = old.condition(Condition.SUCCEEDED), new.condition(Condition.SUCCEEDED)
    if now is None or now.status != "Unknown":
        return
    news = before is None or before.reason != now.reason
    if before is not None and now.reason == Reason.INVALID_SPEC:
        news = before.message != now.message
    if now.reason in STANDING and news:
        kind, reason = STANDING[Reason(now.reason)]
        yield Note(kind, reason, now.message)


def _created(old: Ledger, new: Ledger) -> Iterator[Note]:
    if new.policy != old.policy and new.policy is not None:
        yield _normal(Event.POLICY_CHOSEN, f"the job follows SpotPolicy {new.policy}")
    if new.attempt == old.attempt and new.state is State.CREATED and old.state is State.CREATING:
        yield _normal(Event.ATTEMPT_CREATED, f"the pods of attempt {new.attempt} exist")


def _by_number(ledger: Ledger) -> dict[int, AttemptRecord]:
    return {one.number: one for one in ledger.attempts}


def _normal(reason: Event, message: str) -> Note:
    return Note("Normal", reason, message)


def _warning(reason: Event, message: str) -> Note:
    return Note("Warning", reason, message)
