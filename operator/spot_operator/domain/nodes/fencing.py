"""When a process on a node can no longer extend the lineage, whatever it still does."""

from datetime import timedelta
from typing import Final

from spot_operator.domain.nodes.node_loss import node_lost
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import deleting, left, span
from spot_operator.domain.observed.policy_choice import BUILT_IN
from spot_operator.domain.observed.snapshot import NodeView, PodView, ReportView, Snapshot
from spot_operator.domain.state.ledger import Fence, Ledger, NodeIdentity

OUT_OF_SERVICE_TAINT: Final = "node.kubernetes.io/out-of-service"
ABSENT: Final = frozenset({Fence.NODE_GONE, Fence.OUT_OF_SERVICE, Fence.NODE_LOST})
"""No kubelet is there to end the pod. After a reboot or a replacement there is one, which may even
have run the pod again (kubernetes#83705): it must end it before the next attempt is created."""


def fence_of(context: Context, identity: NodeIdentity | None, pod_uid: str) -> Fence | None:
    """Why the pod of `pod_uid`, seen bound to `identity`, is fenced; None: it may be alive."""
    snapshot = context.snapshot
    if identity is None or not snapshot.visibility.fresh:
        return None
    physical = physical_fence(snapshot, identity)
    if physical is not None:
        return physical
    report = snapshot.reports.get(pod_uid)
    return _silent(context, snapshot.nodes[identity.name], report)


def physical_fence(snapshot: Snapshot, identity: NodeIdentity) -> Fence | None:
    """What the node object itself says: the machine, in that boot, is gone."""
    node = snapshot.nodes.get(identity.name)
    if node is None:
        return Fence.NODE_GONE
    if node.uid != identity.uid:
        return Fence.NODE_REPLACED
    # A node that has just registered has no boot id yet: that is not evidence.
    if node.boot_id and identity.boot_id and node.boot_id != identity.boot_id:
        return Fence.NODE_REBOOTED
    if any(taint.key == OUT_OF_SERVICE_TAINT for taint in node.taints):
        return Fence.OUT_OF_SERVICE
    return None


def may_be_forced(snapshot: Snapshot, ledger: Ledger, pod: PodView) -> bool:
    """Whether `pod` may be force-deleted: its process is over, or can do no harm any more."""
    if _recorded_as_fenced(ledger, pod):
        return True
    if not snapshot.visibility.fresh:
        return False
    identity = pod.node_identity
    absent = identity is not None and physical_fence(snapshot, identity) in ABSENT
    return absent or _long_silent(snapshot, pod)


def is_forced(pod: PodView) -> bool:
    """Whether `pod` was deleted by force already, and only a finalizer keeps its object."""
    return pod.deletion_at is not None and pod.grace_seconds == 0


def _silent(context: Context, node: NodeView, report: ReportView | None) -> Fence | None:
    lost = node_lost(node, report, context.snapshot.visibility, context.unreachable_after)
    return Fence.NODE_LOST if lost else None


def _long_silent(snapshot: Snapshot, pod: PodView) -> bool:
    """Of a pod that is being deleted and has outlived its grace: its node cannot end it."""
    node = snapshot.nodes.get(pod.node_name or "")
    if node is None or pod.deletion_at is None:
        return False
    asked, grace = pod.deletion_at - span(pod.grace_seconds), span(pod.grace_seconds)
    if left(snapshot, deleting(pod), asked, grace) > timedelta(0):
        return False
    after = BUILT_IN.spec.unreachable.after
    return node_lost(node, snapshot.reports.get(pod.uid), snapshot.visibility, after)


def _recorded_as_fenced(ledger: Ledger, pod: PodView) -> bool:
    """A verdict once persisted stands, even if the node is heard of again."""
    ends = (record.ended for record in ledger.ranks if record.uid == pod.uid)
    return any(end is not None and end.fence in ABSENT for end in ends)
