"""What nodes say of their end, as each platform says it."""

import pytest
from kit.builders import NOW, a_node, a_notice, after
from spot_operator.domain.attempt.notices import explains, more_severe
from spot_operator.domain.nodes.signals import is_leaving, notice_from
from spot_operator.domain.observed.snapshot import ConditionView, NodeView, TaintView
from spot_operator.domain.state.ledger import Notice


def tainted(key: str) -> NodeView:
    return a_node(taints=(TaintView("unrelated"), TaintView(key)))


def with_condition(
    kind: str, reason: str = "", status: str = "True", message: str = ""
) -> NodeView:
    return a_node(conditions=(ConditionView(kind, status, reason, message),))


def of_aks(message: str, kind: str = "VMEventScheduled", reason: str = "") -> NodeView:
    """As its node problem detector writes it: one reason for events of every kind."""
    return with_condition(kind, reason or kind, message=message)


MORE = ". DurationInSeconds: -1. For more information, see https://aka.ms/x EventId: 40B7BD88"
INCOMING = "SpotEvictionIncoming"
ADVICE = f"SpotRebalanceRecommendation Advisory: Preempt Scheduled: Sun, 01 Mar 2026{MORE}"


SHUTTING_DOWN = a_node(ready=False, ready_message="kubelet: node is shutting down")


@pytest.mark.parametrize(
    ("node", "kind", "seconds"),
    [
        (tainted("aws-node-termination-handler/spot-itn"), "Preempt", 120),
        (tainted("cloud.google.com/impending-node-termination"), "Preempt", 30),
        (tainted("aks-node-termination-handler/preempt"), "Preempt", 30),
        (tainted("remediator.kubernetes.azure.com/unschedulable"), "Preempt", None),
        (
            tainted("ignore-taint.cluster-autoscaler.kubernetes.io/oke-impending-node-termination"),
            "Preempt",
            None,
        ),
        (tainted("karpenter.sh/disrupted"), "Preempt", None),
        (tainted("ToBeDeletedByClusterAutoscaler"), "Preempt", None),
        (with_condition("GCESpotPreempting"), "Preempt", 30),
        (with_condition("VMEventScheduled", "PreemptScheduled"), "Preempt", 30),
        (with_condition("VMEventScheduled", "FreezeScheduled"), "Maintenance", None),
        (of_aks(f"Preempt Scheduled: Sun, 01 Mar 2026 12:00:39 GMT{MORE}"), "Preempt", 39),
        (of_aks(f"Preempt Scheduled: Sun, 1 Mar 2026 12:00:13 UTC{MORE}"), "Preempt", 13),
        (of_aks("Preempt Scheduled: Sun, 01 Mar 2026 11:00:00 GMT"), "Preempt", 30),
        (of_aks("Preempt Scheduled: Sun, 41 Mar 2026 12:00:39 GMT"), "Preempt", 30),
        (of_aks("Preempt Scheduled: soon"), "Preempt", 30),
        (of_aks("Preempt Started: ."), "Preempt", 30),
        (of_aks("Terminate Scheduled: Sun, 01 Mar 2026 12:05:00 GMT"), "Preempt", 300),
        (of_aks(f"Reboot Scheduled: Sun, 01 Mar 2026 12:15:00 GMT{MORE}"), "Maintenance", None),
        (of_aks(f"Freeze Scheduled: Sun, 01 Mar 2026 12:15:00 GMT{MORE}"), "Maintenance", None),
        (of_aks(""), "Maintenance", None),
        (of_aks(ADVICE), "Rebalance", None),
        (
            of_aks(
                "Preempt Scheduled: Sun, 01 Mar 2026 12:00:39 GMT", "PreemptionScheduled", INCOMING
            ),
            "Preempt",
            39,
        ),
        (of_aks("Preempt Started: .", "PreemptionScheduled", INCOMING), "Preempt", 30),
        (of_aks(ADVICE, "PreemptionScheduled", INCOMING), "Rebalance", None),
        (of_aks("", "PreemptionScheduled", INCOMING), "Rebalance", None),
        (with_condition("RebootScheduled", "RebootScheduled"), "Maintenance", None),
        (with_condition("TerminateScheduled", "TerminateScheduled"), "Preempt", None),
        (with_condition("InstanceExpired", "InstanceToBeTerminated"), "Preempt", None),
        (with_condition("SpotPriceNodeReclaimNotification", "Reclaimed"), "Preempt", None),
        (
            tainted("node-problem-controller.cce.io/SpotPriceNodeReclaimNotification"),
            "Preempt",
            None,
        ),
        (with_condition("GracefulNodeShutdownInProgress"), "Preempt", None),
        (with_condition("MaintenancePlanned", "Window"), "Maintenance", None),
        (SHUTTING_DOWN, "Preempt", None),
        (tainted("aws-node-termination-handler/scheduled-maintenance"), "Maintenance", None),
        (tainted("aks-node-termination-handler/freeze"), "Maintenance", None),
        (
            a_node(labels={"cloud.google.com/active-node-maintenance": "ONGOING"}),
            "Maintenance",
            None,
        ),
        (tainted("aws-node-termination-handler/rebalance-recommendation"), "Rebalance", None),
        (tainted("DeletionCandidateOfClusterAutoscaler"), "Rebalance", None),
    ],
)
def test_a_signal_becomes_a_notice(node: NodeView, kind: str, seconds: float | None) -> None:
    notice = notice_from(node, NOW)
    assert notice is not None
    assert (notice.kind, notice.source, notice.observed_at) == (kind, "operator", NOW)
    assert notice.deadline == (None if seconds is None else after(seconds))
    assert is_leaving(node, NOW) is (kind == "Preempt")


@pytest.mark.parametrize(
    "node",
    [
        a_node(),
        tainted("node.kubernetes.io/unschedulable"),
        with_condition("GCESpotPreempting", status="False"),
        with_condition("VMEventScheduled", "NoVMEventScheduled", "False", "VM has no event"),
        with_condition("VMEventScheduled", "NoVMEventScheduled", "Unknown", "Timeout of plugin"),
        with_condition("InstanceExpired", "InstanceNotToBeTerminated", "False"),
        a_node(ready=False, ready_message="PLEG is not healthy"),
        a_node(labels={"cloud.google.com/active-node-maintenance": "PENDING"}),
    ],
)
def test_other_things_are_no_notice(node: NodeView) -> None:
    assert notice_from(node, NOW) is None


def test_the_gravest_signal_speaks() -> None:
    taints = ("DeletionCandidateOfClusterAutoscaler", "ToBeDeletedByClusterAutoscaler")
    node = a_node(taints=tuple(TaintView(key) for key in taints))
    notice = notice_from(node, NOW)
    assert notice is not None
    assert notice.kind == "Preempt"


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (a_notice("Rebalance"), a_notice("Preempt"), 2),
        (a_notice("Preempt"), a_notice("Maintenance"), 1),
        (a_notice(deadline=120), a_notice(deadline=60), 2),
        (a_notice(deadline=60), a_notice(deadline=120), 1),
        (a_notice(deadline=None), a_notice(deadline=120), 2),
        (a_notice(deadline=120), a_notice(deadline=None), 1),
        (a_notice(source="imds"), a_notice(source="operator"), 1),
        (None, a_notice(), 2),
        (a_notice(), None, 1),
    ],
)
def test_the_graver_then_the_earlier_notice_stands(
    first: Notice | None, second: Notice | None, stands: int
) -> None:
    assert more_severe(first, second) is (first if stands == 1 else second)


@pytest.mark.parametrize(
    ("notice", "ended", "explained"),
    [
        (a_notice(observed=0, deadline=120), 0, True),
        (a_notice(observed=0, deadline=120), 180, True),
        (a_notice(observed=0, deadline=120), 181, False),
        (a_notice(observed=60, deadline=120), 10, False),
        (a_notice(observed=0, deadline=None), 660, True),
        (a_notice(observed=0, deadline=None), 661, False),
        (a_notice("Maintenance", 0, 3600), 60, False),
        (a_notice("PodDeletion", 0, 30), 10, False),
        (None, 0, False),
    ],
)
def test_a_notice_explains_an_ending_near_it(
    notice: Notice | None, ended: float, explained: bool
) -> None:
    assert explains(notice, after(ended)) is explained
