"""What a pod's status proves about how its rank ended."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from spot_operator.domain.formats.text import STATUS_MESSAGE, WORD, last_lines, shorten
from spot_operator.domain.observed.snapshot import ConditionView, ContainerView, PodView
from spot_operator.domain.state.ledger import Fence, RankEnd, RankRecord

STATE_LOST: Final = frozenset({"ContainerStatusUnknown", "Unknown"})
"""Reasons of a kubelet and of containerd for a container of which they know no more than that it
ended: the exit code beside them means nothing, and the time is that of the discovery."""
OOM_KILLED: Final = "OOMKilled"
"""The reason of a container of which the kernel killed a process for its own limit of memory. With
cgroup v1 the others live on, and the exit code is that of the last."""
NOT_BEGUN: Final = frozenset({"StartError", "ContainerCannotRun", "CreateContainerError"})
"""Reasons of a terminated container whose process never came to life."""
NAMELESS: Final = "Unnamed"
"""A DisruptionTarget condition without a reason disrupts as well."""
BOOTED: Final = frozenset({Fence.NODE_REBOOTED, Fence.NODE_REPLACED})
"""The machine came back, so it had gone down."""
SENT: Final = {
    129: "SIGHUP",
    130: "SIGINT",
    131: "SIGQUIT",
    137: "SIGKILL",
    138: "SIGUSR1",
    140: "SIGUSR2",
    143: "SIGTERM",
}
"""Exit codes of a process that a signal ended which somebody else sent: no crash raises these, and
nobody says whose it was. An image or `lifecycle.stopSignal` may choose another than SIGTERM."""
SAID_FIRST: Final = frozenset(
    {
        "DeletionByDeviceTaintManager",
        "DeletionByPodGC",
        "DeletionByTaintManager",
        "EvictionByEvictionAPI",
        "PreemptionByScheduler",
    }
)
"""Reasons of DisruptionTarget that controllers and the API server write before a pod is touched:
one of them that comes after the trainer's end is not the cause of it."""


def evidence(
    pod: PodView | None,
    fence: Fence | None,
    now: datetime,
    *,
    ours: bool,
    node_away: bool = False,
    template: frozenset[str] | None = None,
) -> RankEnd:
    """The evidence at `now`.

    `ours`: our stop ends this rank, so a deletion says nothing. `node_away`: its node was silent
    or not ready shortly before. `template`: the names of the job's own containers; None: all.
    """
    if pod is None:
        return RankEnd(at=now, fence=fence)
    trainer = pod.trainer
    ended = trainer.ended
    lost = trainer.reason in STATE_LOST
    disruption = pod.condition("DisruptionTarget")
    blocker = _failed(pod)
    return RankEnd(
        at=now,
        finished_at=trainer.finished_at if ended and not lost else None,
        exit_code=trainer.exit_code,
        reason=shorten(_reason(trainer), WORD),
        pod_reason=shorten(pod.reason, WORD),
        message=shorten(_message(pod), STATUS_MESSAGE),
        disruption=_named(disruption),
        fence=None if _ended_before_its_node(pod, fence) else fence,
        deleted=not ours and _was_deleted(pod),
        started=trainer.started,
        blocked_by="" if blocker is None else shorten(blocker.name, WORD),
        blocked_outside=blocker is not None and (node_away or _is_outside(blocker, template)),
        node_away=node_away,
        sick_device=shorten(trainer.sick_device, WORD),
        last_lines=last_lines(_wrote(pod)),
    )


def completed(
    known: RankEnd, pod: PodView | None, fence: Fence | None, *, lately: bool = False
) -> RankEnd:
    """What was `known` when the trainer ended, now that its pod has ended or is fenced too.

    The kubelet tells why it ended a pod (an eviction, the node's shutdown) only once no container
    of it runs any more (`mergePodStatus`), and the trainer is among the first to end. `lately`: it
    ended a moment before. A machine that goes down without telling ends the containers first, so
    that a boot, or a machine of the node's name, that follows at once explains any exit code.
    """
    explained = known.reason in STATE_LOST or (lately and fence in BOOTED)
    fence = fence if explained else None
    if pod is None:
        return replace(known, fence=fence)
    return replace(
        known,
        pod_reason=known.pod_reason or shorten(pod.reason, WORD),
        message=_of_the_platform(pod) or known.message or shorten(pod.message, STATUS_MESSAGE),
        disruption=known.disruption or _late_disruption(pod),
        fence=fence,
        sick_device=known.sick_device or shorten(pod.trainer.sick_device, WORD),
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
    return fence is Fence.NODE_GONE and pod.trainer.ended


def _was_deleted(pod: PodView) -> bool:
    # One that had ended when it was removed was not ended by that.
    over = pod.terminal or pod.trainer.ended
    return pod.deletion_at is not None or (pod.gone and not over)


def _late_disruption(pod: PodView) -> str:
    found = pod.condition("DisruptionTarget")
    return "" if found is None or found.reason in SAID_FIRST else _named(found)


def _named(disruption: ConditionView | None) -> str:
    return "" if disruption is None else shorten(disruption.reason, WORD) or NAMELESS


def _reason(trainer: ContainerView) -> str:
    """A kubelet that finds no trace of a container lets it wait, and says so of its last run."""
    return trainer.reason if trainer.ended else trainer.last_reason


def _failed(pod: PodView) -> ContainerView | None:
    """The container that ended badly before the trainer began."""
    return next((one for one in _ended_badly(pod) if one.reason not in STATE_LOST), None)


def _ended_badly(pod: PodView) -> list[ContainerView]:
    """The containers that did before the trainer began, first one that ends the pod by that: the
    kubelet then ends those that stay, which makes any code of them."""
    if pod.trainer.started:
        return []
    ended = (one for one in pod.others if one.ended and one.exit_code)
    return sorted(ended, key=lambda one: one.stays or not one.is_init)


def _is_outside(blocker: ContainerView, template: frozenset[str] | None) -> bool:
    """Whether a webhook added it to the pod, or something killed it that nothing names."""
    if template is not None and blocker.name not in template:
        return True
    code = blocker.exit_code
    killed = code is not None and (code in SENT or code < 0)
    return killed and blocker.reason != OOM_KILLED


def _wrote(pod: PodView) -> str:
    """What the trainer, or else a container that failed before it, wrote last."""
    own = pod.trainer.message if pod.trainer.ended else ""
    return own if own.strip() else next((one.message for one in _ended_badly(pod)), "")


def _of_the_platform(pod: PodView) -> str:
    # A pod has a reason only if the platform ended it: no container knows more of that.
    return shorten(pod.message, STATUS_MESSAGE) if pod.reason else ""


def _message(pod: PodView) -> str:
    if said := _of_the_platform(pod):
        return said
    # Of a long one the end says why: the last line of a traceback has the error.
    own = last_lines(pod.trainer.message, STATUS_MESSAGE) if pod.trainer.ended else ""
    failed = (
        f"container {one.name} exited with {one.exit_code}: {one.message or one.reason}"
        for one in _ended_badly(pod)
    )
    return own.strip() or next(failed, "") or pod.message
