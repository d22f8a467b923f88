"""What a pod's status proves about how its rank ended."""

from datetime import datetime

from spot_operator.domain.ledger import Fence, RankEnd, RankRecord
from spot_operator.domain.snapshot import PodView
from spot_operator.domain.text import STATUS_MESSAGE, WORD, shorten


def evidence(pod: PodView | None, fence: Fence | None, now: datetime, *, ours: bool) -> RankEnd:
    """The evidence at `now`; `ours`: our stop ends this rank, so a deletion says nothing."""
    if pod is None:
        return RankEnd(at=now, fence=fence)
    trainer = pod.trainer
    disruption = pod.condition("DisruptionTarget")
    return RankEnd(
        at=trainer.finished_at or now,
        exit_code=trainer.exit_code,
        reason=shorten(trainer.reason, WORD) if trainer.state == "terminated" else "",
        pod_reason=shorten(pod.reason, WORD),
        message=shorten(_message(pod), STATUS_MESSAGE),
        disruption=shorten(disruption.reason, WORD) if disruption is not None else "",
        fence=None if _ended_before_its_node(pod, fence) else fence,
        # One that had ended when it was removed was not ended by that.
        deleted=not ours and (pod.deletion_at is not None or (pod.gone and not pod.terminal)),
        started=trainer.started,
    )


def vanished(record: RankRecord, pod: PodView | None, now: datetime, *, ours: bool) -> RankEnd:
    """The evidence of a pod that is gone without having been seen to end."""
    return RankEnd(
        at=record.lost_at or now,
        message="the pod vanished before it was seen to end",
        deleted=not ours and pod is not None,
    )


def _ended_before_its_node(pod: PodView, fence: Fence | None) -> bool:
    """The kubelet told of the trainer's end, so the node's later removal did not cause it."""
    return fence is Fence.NODE_GONE and pod.trainer.state == "terminated"


def _message(pod: PodView) -> str:
    own = pod.trainer.message if pod.trainer.state == "terminated" else ""
    failed = (
        f"container {one.name} exited with {one.exit_code}: {one.message or one.reason}"
        for one in pod.others
        if one.state == "terminated" and one.exit_code
    )
    return own.strip() or next(failed, "") or pod.message
