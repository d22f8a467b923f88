"""What a node's taints, conditions and labels say about its end: a table, first match wins.

Sources: the platforms' and the controllers' documentation and code (Karpenter and its provider for
Azure, cluster autoscaler, GKE, AKS and its node problem detector, those of ACK and of Huawei's CCE,
OKE, aws-node-termination-handler, kubelet, the Kubernetes 1.37 node lifecycle conditions). A signal
reaches the pod as an annotation: for pods that cannot ask the metadata service it is the only
notice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from spot_operator.domain.observed.snapshot import NodeView
from spot_operator.domain.state.ledger import Notice

Kind = Literal["Preempt", "Rebalance", "Maintenance"]
Where = Literal["taint", "condition", "label", "notReady"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One row: a text at a place of the node object means a notice of this kind."""

    where: Where
    pattern: str
    """Matched whole: a taint as `key`, a condition that is True as `type/reason/message`, a label
    as `key=value`, the Ready condition that is not True as its message."""
    kind: Kind
    seconds: int | None = None
    """What the platform promises from the signal to the end; None: it promises nothing."""


FIRST: Final = r"(?:[^/]*/)?\s*"
"""Before the word with which a reason or its message begins: AKS has one condition, with one
reason, for events of every kind, and names the kind in the message alone."""
SET: Final = r"\s*(?:Scheduled|Started)"
DATED: Final = re.compile(r"Scheduled:\s*(\w{3}, +\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d) (?:GMT|UTC)")
"""The deadline in such a message."""
FARTHEST: Final = timedelta(minutes=10)
"""A deadline that is farther off, or is past, is not that of a preemption."""

TABLE: Final = (
    Signal("taint", r"aws-node-termination-handler/spot-itn", "Preempt", 120),
    Signal("taint", r"aws-node-termination-handler/asg-lifecycle-termination", "Preempt"),
    Signal("taint", r"cloud\.google\.com/impending-node-termination", "Preempt", 30),
    Signal("taint", r"aks-node-termination-handler/preempt", "Preempt", 30),
    Signal("taint", r"aks-node-termination-handler/terminate", "Preempt"),
    Signal("taint", r"remediator\.kubernetes\.azure\.com/unschedulable", "Preempt"),
    Signal("taint", r".*/oke-impending-node-termination", "Preempt"),
    Signal("taint", r"karpenter\.sh/disrupted", "Preempt"),
    Signal("taint", r"ToBeDeletedByClusterAutoscaler", "Preempt"),
    Signal(
        "taint", r"node-problem-controller\.cce\.io/SpotPriceNodeReclaimNotification", "Preempt"
    ),
    Signal("condition", r"GCESpotPreempting/.*", "Preempt", 30),
    Signal("condition", r"PreemptScheduled/.*", "Preempt", 30),
    Signal("condition", rf"(VMEvent|Preemption)Scheduled/{FIRST}Preempt{SET}.*", "Preempt", 30),
    Signal("condition", rf"VMEventScheduled/{FIRST}Terminate{SET}.*", "Preempt"),
    Signal("condition", r"(TerminateScheduled|InstanceExpired)/.*", "Preempt"),
    Signal("condition", r"SpotPriceNodeReclaimNotification/.*", "Preempt"),
    Signal("condition", r"GracefulNodeShutdownInProgress/.*", "Preempt"),
    Signal("notReady", r".*node is shutting down.*", "Preempt"),
    Signal("condition", r"(DrainInProgress|MaintenanceInProgress)/.*", "Maintenance"),
    Signal("condition", r"PreemptionScheduled/.*", "Rebalance"),
    Signal("condition", rf"VMEventScheduled/{FIRST}SpotRebalance.*", "Rebalance"),
    Signal("condition", r"(MaintenancePlanned|VMEventScheduled)/.*", "Maintenance"),
    Signal("condition", r"(Freeze|Reboot|Redeploy)Scheduled/.*", "Maintenance"),
    Signal("taint", r"aws-node-termination-handler/scheduled-maintenance", "Maintenance"),
    Signal("taint", r"aks-node-termination-handler/.*", "Maintenance"),
    Signal("label", r"cloud\.google\.com/active-node-maintenance=ONGOING", "Maintenance"),
    Signal("taint", r"aws-node-termination-handler/rebalance-recommendation", "Rebalance"),
    Signal("taint", r"DeletionCandidateOfClusterAutoscaler", "Rebalance"),
)
"""The strongest first: a node that is being preempted is also being drained."""


def notice_from(node: NodeView, now: datetime) -> Notice | None:
    """The notice that `node` gives, seen at `now`; None when it gives none."""
    for signal in TABLE:
        text = next((one for one in _texts(node, signal.where) if _says(signal, one)), None)
        if text is not None:
            return _notice(signal, text, now)
    return None


def is_leaving(node: NodeView, now: datetime) -> bool:
    """Whether the node says that it is about to be taken away."""
    notice = notice_from(node, now)
    return notice is not None and notice.kind == "Preempt"


def _notice(signal: Signal, text: str, now: datetime) -> Notice:
    deadline = None if signal.seconds is None else now + timedelta(seconds=signal.seconds)
    if signal.kind == "Preempt":
        deadline = _dated(text, now) or deadline
    return Notice(signal.kind, deadline, "operator", now, f"{signal.where} {text}"[:200])


def _dated(text: str, now: datetime) -> datetime | None:
    found = DATED.search(text)
    try:
        at = parsedate_to_datetime(f"{found[1]} +0000") if found is not None else None
    except ValueError:
        return None
    return at if at is not None and timedelta(0) <= at - now <= FARTHEST else None


def _says(signal: Signal, text: str) -> bool:
    return re.fullmatch(signal.pattern, text, re.DOTALL) is not None


def _texts(node: NodeView, where: Where) -> Iterator[str]:
    if where == "taint":
        return (taint.key for taint in node.taints)
    if where == "condition":
        true = (one for one in node.conditions if one.status == "True")
        return (f"{one.type}/{one.reason}/{one.message}" for one in true)
    if where == "label":
        return (f"{key}={value}" for key, value in node.labels.items())
    return iter(() if node.ready else (node.ready_message,))
