"""Which pods go, and how: gracefully, but by force where nobody is left to end them (I7).

Terminal pods of the newest attempt stay until the next one is created, for `kubectl logs`, and with
`KeepFailed` those of the attempts that failed until the job has completed. They hold no node and no
name that a later attempt needs, and are never in the way of one.
"""

from collections.abc import Iterator
from datetime import timedelta

from spot_operator.api.job import PodCleanup
from spot_operator.api.names import Condition, State
from spot_operator.domain.actions import DeletePod
from spot_operator.domain.attempt.failed_attempts import newest_failed
from spot_operator.domain.attempt.pod_ending import pod_stays_for
from spot_operator.domain.nodes.fencing import is_forced, may_be_forced
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.snapshot import PodView, Snapshot
from spot_operator.domain.state.ledger import Ledger


def deletions(context: Context, ledger: Ledger) -> Iterator[DeletePod]:
    """The deletions that `ledger`, persisted, asks for."""
    for pod in context.present():
        why = _why(context, ledger, pod)
        if why:
            yield from _delete(context.snapshot, ledger, pod, why)
    for pod in context.former():
        yield from _delete(context.snapshot, ledger, pod, "its job was deleted")


def orphans(snapshot: Snapshot) -> Iterator[DeletePod]:
    """The deletions when the job is gone: a pod whose owner references we wrote goes with it.

    Without fresh eyes a job may only seem gone.
    """
    if not snapshot.visibility.fresh:
        return
    for pod in (*snapshot.pods, *snapshot.purges):
        if pod.owner_uid and not pod.gone:
            yield from _delete(snapshot, Ledger(), pod, "its job was deleted")


def force_delete_stuck(snapshot: Snapshot) -> Iterator[DeletePod]:
    """While the job is being deleted: the garbage collector deletes its pods, but waits for ever
    for those whose node cannot end them."""
    for pod in snapshot.pods:
        if pod.owner_uid and not pod.gone and pod.deletion_at is not None:
            yield from _delete(snapshot, snapshot.ledger, pod, "its job is being deleted")


def end_all(context: Context, ledger: Ledger) -> Iterator[DeletePod]:
    """While the job is being deleted and our finalizer holds it: nobody else deletes its pods."""
    for pod in (*context.present(), *context.former()):
        yield from _delete(context.snapshot, ledger, pod, "its job is being deleted")


def _delete(snapshot: Snapshot, ledger: Ledger, pod: PodView, why: str) -> Iterator[DeletePod]:
    asked = pod.deletion_at is not None
    # Gracefully, a pod whose node is gone would be there for ever.
    stuck = (asked or not pod.terminal) and may_be_forced(snapshot, ledger, pod)
    if stuck and not is_forced(pod):
        yield DeletePod(pod.name, pod.uid, 0, f"{why}; its node is fenced")
    elif not asked:
        yield DeletePod(pod.name, pod.uid, None, why)


def _why(context: Context, ledger: Ledger, pod: PodView) -> str:
    """Why `pod` is to go; empty: it stays."""
    if pod.uid not in {one.uid for one in ledger.ranks}:
        return _why_unknown(context, ledger, pod)
    if ledger.state is State.STOPPING:
        stays = pod.terminal or _stays(context, ledger, pod)
        return "" if stays else f"attempt {ledger.attempt} is being ended"
    if ledger.state is State.WAITING:
        return "" if pod.terminal else f"attempt {ledger.attempt} is over"
    return _finished(context, ledger, pod) if ledger.state is State.FINISHED else ""


def _why_unknown(context: Context, ledger: Ledger, pod: PodView) -> str:
    """The same of a pod that is on record for no rank."""
    if _awaited(context, ledger, pod):
        return ""
    if pod.attempt > ledger.attempt:
        # Our copy of the job is older than the pod: the next look will know it.
        return "the job is over" if ledger.state is State.FINISHED else ""
    if pod.attempt < ledger.attempt:
        return "" if _kept(context, ledger, pod) else f"attempt {pod.attempt} is over"
    return "its rank was given another pod"


def _stays(context: Context, ledger: Ledger, pod: PodView) -> bool:
    """Whether the trainer is over and the pod may go on for a while without it."""
    record = next(one for one in ledger.ranks if one.uid == pod.uid)
    return record.ended is None and pod_stays_for(context, record, pod) > timedelta(0)


def _awaited(context: Context, ledger: Ledger, pod: PodView) -> bool:
    """Whether it will be recorded as its rank's pod, once it has its labels again if need be."""
    under_way = ledger.state not in {State.WAITING, State.FINISHED}
    free = set(range(context.workers)) - {one.rank for one in ledger.ranks}
    return under_way and pod.name in {context.pod_name(ledger.attempt, rank) for rank in free}


def _kept(context: Context, ledger: Ledger, pod: PodView) -> bool:
    """Whether `pod`, of an attempt before the newest, stays for its logs."""
    if not (pod.terminal and _keeps(context)) or _completed(ledger):
        return False
    return pod.attempt in newest_failed(ledger)


def _finished(context: Context, ledger: Ledger, pod: PodView) -> str:
    kept = pod.terminal and _keeps(context) and not _completed(ledger)
    return "" if kept else "the job is over"


def _keeps(context: Context) -> bool:
    return context.job.spec.pod_cleanup is PodCleanup.KEEP_FAILED


def _completed(ledger: Ledger) -> bool:
    verdict = ledger.condition(Condition.SUCCEEDED)
    return verdict is not None and verdict.status == "True"
