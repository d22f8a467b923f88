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
from spot_operator.domain.attempt.notices import graver
from spot_operator.domain.attempt.pod_cleanup import deletions
from spot_operator.domain.attempt.pod_ending import is_to_settle
from spot_operator.domain.attempt.starting import predecessors
from spot_operator.domain.checkpoint_deletion import due_hold
from spot_operator.domain.formats.timestamps import timestamp
from spot_operator.domain.nodes.exclusions import barred_names, last_resort_names
from spot_operator.domain.nodes.signals import notice_from
from spot_operator.domain.observed.context import Scene
from spot_operator.domain.observed.elapsed import finished, left_of_long, span
from spot_operator.domain.observed.snapshot import PodView
from spot_operator.domain.state.ledger import Ledger, NodeIdentity, Notice, RankRecord


def actions(scene: Scene) -> tuple[Action, ...]:
    """The actions that the persisted ledger asks for, the most pressing first."""
    ledger = scene.persisted
    return (
        *deletions(scene, ledger),
        *_hold(scene),
        *_annotations(scene, ledger),
        *_creations(scene, ledger),
        *_expiry(scene, ledger),
    )


def expires_in(scene: Scene, ledger: Ledger) -> timedelta | None:
    """How long until the finished job is to be deleted; None: never, as far as is known."""
    ttl, current = scene.job.spec.ttl_seconds_after_finished, ledger.current
    if ledger.state is not State.FINISHED or ttl is None or current is None:
        return None
    if current.ended_at is None or scene.job.unreadable:
        return None
    return left_of_long(scene.snapshot, finished(ledger), current.ended_at, span(ttl))


def _hold(scene: Scene) -> Iterator[Hold]:
    change = due_hold(scene)
    if change is not None:
        yield change


def _creations(scene: Scene, ledger: Ledger) -> Iterator[CreatePod]:
    held = scene.in_doubt or scene.barred or _unsettled(scene, ledger)
    if ledger.state is not State.CREATING or held:
        return
    seen = {one.rank for one in ledger.ranks}
    for rank in range(scene.workers):
        if rank not in seen and not scene.pods_of(ledger.attempt, rank):
            yield CreatePod(
                attempt=ledger.attempt,
                rank=rank,
                grant=_grant(scene, ledger),
                barred_nodes=barred_names(scene, ledger),
                last_resort_nodes=last_resort_names(scene, ledger),
                high_water=ledger.progress.step,
                hazard=hazard(history(ledger), scene.now),
                interval=ledger.checkpoint.interval,
                max_lost_work=scene.max_lost_work,
            )


def _unsettled(scene: Scene, ledger: Ledger) -> bool:
    """A name that is taken, or a late pod of an earlier attempt, comes first."""
    mine = (scene.pod_name(ledger.attempt, rank) for rank in range(scene.workers))
    if any(name in scene.snapshot.foreign for name in mine):
        return True
    return predecessors(scene, ledger.attempt - 1)


def _grant(scene: Scene, ledger: Ledger) -> Grant:
    newest = ledger.checkpoint.newest
    return Grant(
        attempt=ledger.attempt,
        newest=newest.ref if newest is not None else None,
        suspects=ledger.checkpoint.suspects,
        start_fresh=scene.job.spec.checkpoint.on_none_valid is NoneValid.START_FRESH,
        inherits=newest is None
        and scene.job.spec.checkpoint.resume_from is not None
        and not ledger.checkpoint.afresh,
    )


def _annotations(scene: Scene, ledger: Ledger) -> Iterator[AnnotatePod]:
    for record in ledger.ranks:
        pod = scene.pod_of(record)
        if pod is not None and not pod.gone and record.ended is None:
            wanted = {
                **_node(record, pod),
                **_notice(scene, pod),
                **_trust(scene, pod),
                **_end(scene, record, pod),
            }
            if wanted:
                yield AnnotatePod(pod.name, pod.uid, wanted)


def _node(record: RankRecord, pod: PodView) -> dict[str, str]:
    if record.node is None or pod.node_identity is not None:
        return {}
    return {ANNOTATION_NODE: _node_json(record.node)}


def _end(scene: Scene, record: RankRecord, pod: PodView) -> dict[str, str]:
    return {ANNOTATION_ENDED: timestamp(scene.now)} if is_to_settle(scene, record, pod) else {}


def _notice(scene: Scene, pod: PodView) -> dict[str, str]:
    node = scene.snapshot.nodes.get(pod.node_name or "")
    found = notice_from(node, scene.now) if node is not None else None
    # A deadline counted from when we look is told once, or it would move with every look.
    told = found is None or (pod.notice is not None and pod.notice.kind == found.kind)
    if told or found is None or graver(pod.notice, found) is not found:
        return {}
    return {ANNOTATION_NOTICE: _notice_json(found)}


def _trust(scene: Scene, pod: PodView) -> dict[str, str]:
    """After a rotation, or where nothing was known when the pod was made: whom to trust now."""
    trusted = scene.snapshot.trusted
    return {ANNOTATION_CA: trusted} if trusted and pod.trusts != trusted else {}


def _expiry(scene: Scene, ledger: Ledger) -> Iterator[DeleteJob]:
    due = expires_in(scene, ledger)
    ready = scene.snapshot.sight.fresh and due_hold(scene) is None
    if due is not None and due <= timedelta(0) and ready:
        yield DeleteJob(scene.job.uid, scene.job.resource_version)


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
