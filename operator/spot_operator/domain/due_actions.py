"""What is to be done about the world, given the ledger as it stands persisted."""

import json
from collections.abc import Iterator
from datetime import timedelta

from spot_operator.api.job import NoneValid
from spot_operator.api.names import (
    ANNOTATION_CA,
    ANNOTATION_ENDED,
    ANNOTATION_NODE,
    ANNOTATION_NOTICE,
    State,
)
from spot_operator.domain.accounts.hazard import hazard, history
from spot_operator.domain.actions import Action, AnnotatePod, CreatePod, DeleteJob, Grant, Hold
from spot_operator.domain.attempt.notices import more_severe
from spot_operator.domain.attempt.pod_cleanup import deletions
from spot_operator.domain.attempt.pod_ending import needs_the_end_told
from spot_operator.domain.attempt.starting import predecessors
from spot_operator.domain.checkpoint_deletion import due_hold
from spot_operator.domain.formats.timestamps import timestamp
from spot_operator.domain.nodes.exclusions import barred_names, last_resort_names
from spot_operator.domain.nodes.signals import notice_from
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import finished, left_of_long, span
from spot_operator.domain.observed.snapshot import PodView
from spot_operator.domain.state.ledger import Ledger, NodeIdentity, Notice, RankRecord


def actions(context: Context) -> tuple[Action, ...]:
    """The actions that the persisted ledger asks for, the most pressing first."""
    ledger = context.persisted
    return (
        *deletions(context, ledger),
        *_hold(context),
        *_annotations(context, ledger),
        *_creations(context, ledger),
        *_expiry(context, ledger),
    )


def expires_in(context: Context, ledger: Ledger) -> timedelta | None:
    """How long until the finished job is to be deleted; None: never, as far as is known."""
    ttl, current = context.job.spec.ttl_seconds_after_finished, ledger.current
    if ledger.state is not State.FINISHED or ttl is None or current is None:
        return None
    if current.ended_at is None or context.job.unreadable:
        return None
    return left_of_long(context.snapshot, finished(ledger), current.ended_at, span(ttl))


def _hold(context: Context) -> Iterator[Hold]:
    change = due_hold(context)
    if change is not None:
        yield change


def _creations(context: Context, ledger: Ledger) -> Iterator[CreatePod]:
    held = context.in_doubt or context.barred or _in_the_way(context, ledger)
    if ledger.state is not State.CREATING or held:
        return
    seen = {one.rank for one in ledger.ranks}
    for rank in range(context.workers):
        if rank not in seen and not context.pods_of(ledger.attempt, rank):
            yield CreatePod(
                attempt=ledger.attempt,
                rank=rank,
                grant=_grant(context, ledger),
                barred_nodes=barred_names(context, ledger),
                last_resort_nodes=last_resort_names(context, ledger),
                high_water=ledger.progress.step,
                hazard=hazard(history(ledger), context.now),
                interval=ledger.checkpoint.interval,
                max_lost_work=context.max_lost_work,
            )


def _in_the_way(context: Context, ledger: Ledger) -> bool:
    """A name that is taken, or a late pod of an earlier attempt, comes first."""
    mine = (context.pod_name(ledger.attempt, rank) for rank in range(context.workers))
    if any(name in context.snapshot.foreign for name in mine):
        return True
    return predecessors(context, ledger.attempt - 1)


def _grant(context: Context, ledger: Ledger) -> Grant:
    newest = ledger.checkpoint.newest
    return Grant(
        attempt=ledger.attempt,
        newest=newest.ref if newest is not None else None,
        suspects=ledger.checkpoint.suspects,
        start_fresh=context.job.spec.checkpoint.on_none_valid is NoneValid.START_FRESH,
        inherits=newest is None
        and context.job.spec.checkpoint.resume_from is not None
        and not ledger.checkpoint.afresh,
    )


def _annotations(context: Context, ledger: Ledger) -> Iterator[AnnotatePod]:
    for record in ledger.ranks:
        pod = context.pod_of(record)
        if pod is not None and not pod.gone and record.ended is None:
            wanted = {
                **_node(record, pod),
                **_notice(context, pod),
                **_trust(context, pod),
                **_end(context, record, pod),
            }
            if wanted:
                yield AnnotatePod(pod.name, pod.uid, wanted)


def _node(record: RankRecord, pod: PodView) -> dict[str, str]:
    if record.node is None or pod.node_identity is not None:
        return {}
    return {ANNOTATION_NODE: _node_json(record.node)}


def _end(context: Context, record: RankRecord, pod: PodView) -> dict[str, str]:
    if not needs_the_end_told(context, record, pod):
        return {}
    return {ANNOTATION_ENDED: timestamp(context.now)}


def _notice(context: Context, pod: PodView) -> dict[str, str]:
    node = context.snapshot.nodes.get(pod.node_name or "")
    found = notice_from(node, context.now) if node is not None else None
    # A deadline counted from when we look is told once, or it would move with every look.
    told = found is None or (pod.notice is not None and pod.notice.kind == found.kind)
    if told or found is None or more_severe(pod.notice, found) is not found:
        return {}
    return {ANNOTATION_NOTICE: _notice_json(found)}


def _trust(context: Context, pod: PodView) -> dict[str, str]:
    """After a rotation, or where nothing was known when the pod was made: whom to trust now."""
    trusted = context.snapshot.trusted
    return {ANNOTATION_CA: trusted} if trusted and pod.trusts != trusted else {}


def _expiry(context: Context, ledger: Ledger) -> Iterator[DeleteJob]:
    due = expires_in(context, ledger)
    ready = context.snapshot.visibility.fresh and due_hold(context) is None
    if due is not None and due <= timedelta(0) and ready:
        yield DeleteJob(context.job.uid, context.job.resource_version)


def _node_json(node: NodeIdentity) -> str:
    return _compact({"name": node.name, "uid": node.uid, "bootID": node.boot_id})


def _notice_json(notice: Notice) -> str:
    return _compact(
        {
            "kind": notice.kind,
            "deadline": timestamp(notice.deadline) if notice.deadline is not None else None,
            "source": notice.source,
            "observedAt": timestamp(notice.observed_at),
            "raw": notice.raw,
        }
    )


def _compact(body: object) -> str:
    return json.dumps(body, separators=(",", ":"))
