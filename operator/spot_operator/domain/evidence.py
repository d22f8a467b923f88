"""What a pod's status proves about how its rank ended."""

from datetime import datetime
from typing import Final

from spot_operator.domain.ledger import Fence, RankEnd, RankRecord
from spot_operator.domain.snapshot import ContainerView, PodView
from spot_operator.domain.text import STATUS_MESSAGE, WORD, last_lines, shorten

STATE_LOST: Final = frozenset({"ContainerStatusUnknown", "Unknown"})
"""Reasons of a kubelet and of containerd for a container of which they know no more than that it
ended: the exit code beside them means nothing, and the time is that of the discovery."""
NAMELESS: Final = "Unnamed"
"""A DisruptionTarget condition without a reason disrupts as well."""


def evidence(
    pod: PodView | None, fence: Fence | None, now: datetime, *, ours: bool, node_away: bool = False
) -> RankEnd:
    """The evidence at `now`.

    `ours`: our stop ends this rank, so a deletion says nothing. `node_away`: its node was silent
    or not ready shortly before.
    """
    if pod is None:
        return RankEnd(at=now, fence=fence)
    trainer = pod.trainer
    ended = trainer.state == "terminated"
    lost = trainer.reason in STATE_LOST
    disruption = pod.condition("DisruptionTarget")
    return RankEnd(
        at=now,
        finished_at=trainer.finished_at if ended and not lost else None,
        exit_code=trainer.exit_code,
        reason=shorten(_reason(trainer), WORD),
        pod_reason=shorten(pod.reason, WORD),
        message=shorten(_message(pod), STATUS_MESSAGE),
        disruption="" if disruption is None else shorten(disruption.reason, WORD) or NAMELESS,
        fence=None if _ended_before_its_node(pod, fence) else fence,
        # One that had ended when it was removed was not ended by that.
        deleted=not ours and (pod.deletion_at is not None or (pod.gone and not pod.terminal)),
        started=trainer.started,
        blocked_by="" if trainer.started else shorten(_failed(pod), WORD),
        node_away=node_away,
        last_lines=last_lines(_wrote(pod)),
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


def _reason(trainer: ContainerView) -> str:
    """A kubelet that finds no trace of a container lets it wait, and says so of its last run."""
    return trainer.reason if trainer.state == "terminated" else trainer.last_reason


def _failed(pod: PodView) -> str:
    """The container that ended badly before the trainer began."""
    ended = (
        one for one in pod.others if one.state == "terminated" and one.reason not in STATE_LOST
    )
    return next((one.name for one in ended if one.exit_code), "")


def _wrote(pod: PodView) -> str:
    """What the trainer, or else a container that failed before it, wrote last."""
    own = pod.trainer.message if pod.trainer.state == "terminated" else ""
    failed = (one for one in pod.others if one.state == "terminated" and one.exit_code)
    return own if own.strip() else next((one.message for one in failed), "")


def _message(pod: PodView) -> str:
    if pod.reason and pod.message:
        # A pod has a reason only if the platform ended it: no container knows more of that.
        return pod.message
    # Of a long one the end says why: the last line of a traceback has the error.
    terminated = pod.trainer.state == "terminated"
    own = last_lines(pod.trainer.message, STATUS_MESSAGE) if terminated else ""
    failed = (
        f"container {one.name} exited with {one.exit_code}: {one.message or one.reason}"
        for one in pod.others
        if one.state == "terminated" and one.exit_code
    )
    return own.strip() or next(failed, "") or pod.message
