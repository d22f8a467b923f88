"""A pod that outlives its grace period on a node whose kubelet is alive.

A process in the kernel (a GPU driver, an NFS server that is gone) cannot be killed. The node is
alive, so nothing proves that the process is not training: the pod is never deleted by force, and no
attempt begins beside it. It is named instead, for only a person can end it.
"""

from datetime import timedelta
from typing import Final

from spot_operator.domain.formats.timestamps import timestamp
from spot_operator.domain.nodes.fencing import is_forced
from spot_operator.domain.nodes.node_loss import is_stale
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import deleting, left, span
from spot_operator.domain.observed.snapshot import PodView

SLACK: Final = timedelta(minutes=1)
"""The kubelet needs some time to end a pod and to say so."""


def overstaying(context: Context) -> PodView | None:
    """The first pod of the job that should have ended and still runs."""
    found = (pod for pod in context.present() if _is_told(context, pod))
    return min(found, key=lambda pod: (pod.attempt, pod.rank), default=None)


def _is_told(context: Context, pod: PodView) -> bool:
    told = told_in(context, pod)
    return told is not None and told <= timedelta(0)


def told_in(context: Context, pod: PodView) -> timedelta | None:
    """After what time it is worth telling that `pod` has not ended; None: it need not, or has."""
    if pod.deletion_at is None or pod.gone or pod.terminal or is_forced(pod):
        return None
    if pod.node_name is None:
        return None
    grace = span(pod.grace_seconds)
    return left(context.snapshot, deleting(pod), pod.deletion_at - grace, grace + SLACK)


def overstay(context: Context, pod: PodView) -> str:
    """Which pod, where, since when, and what a person can do."""
    node = context.snapshot.nodes.get(pod.node_name or "")
    due = timestamp(pod.deletion_at) if pod.deletion_at is not None else "some time"
    says = f"pod {pod.name} should have ended by {due} and is still on node {pod.node_name}"
    if node is None or is_stale(node, context.snapshot.visibility, context.unreachable_after):
        return f"{says}, which is silent: the pod is removed once the node is certainly lost"
    runs = "its sidecar may still store" if pod.trainer.ended else "its trainer may still run"
    return (
        f"{says}, which is alive: a process there probably cannot be killed (a GPU driver or a "
        "file server hangs). Reboot the node, or take the machine away and delete its Node object; "
        f"nothing is started beside the pod, and it is not deleted by force, because {runs}"
    )
