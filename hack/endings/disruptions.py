"""What is written when somebody disrupts or deletes a pod."""

from typing import Final

from endings.ends import (
    DELETED,
    EVICTED,
    EXITED,
    FAILED,
    GONE_ON_END,
    KUBELET,
    NODE_LOST,
    PREEMPTED,
    SCHEDULER,
    UNKNOWN,
)
from endings.row import (
    SIDECAR,
    Chapter,
    Row,
    disrupted,
    failed,
    forgotten,
    running,
    terminated,
)

DISRUPTIONS: Final = Chapter(
    "Somebody disrupts or deletes the pod",
    "The operator believes a DisruptionTarget condition that is True, whatever its reason: the list"
    " is open. One that is False says nothing: the disruption controller leaves it if no disruption"
    " followed.",
    (
        *(
            Row(
                f"DisruptionTarget `{reason or 'without a reason'}`, deleted",
                source,
                failed("", "", EXITED, conditions=disrupted(reason)),
                end,
                deleted=True,
                versions=versions,
            )
            for reason, source, end, versions in (
                (
                    "EvictionByEvictionAPI",
                    "kubernetes pkg/registry/core/pod/storage/eviction.go; drains, Karpenter",
                    EVICTED,
                    "1.33 to 1.37",
                ),
                (
                    "DeletionByTaintManager",
                    "kubernetes pkg/controller/tainteviction/taint_eviction.go",
                    EVICTED,
                    "1.33 to 1.37",
                ),
                (
                    "DeletionByDeviceTaintManager",
                    "kubernetes pkg/controller/devicetainteviction/device_taint_eviction.go",
                    EVICTED,
                    "1.33 to 1.37",
                ),
                (
                    "PreemptionByScheduler",
                    "kubernetes pkg/scheduler/framework/preemption/executor.go",
                    SCHEDULER,
                    "1.33 to 1.37",
                ),
                (
                    "DeletionByPodGC",
                    "kubernetes pkg/controller/podgc/gc_controller.go; the node was deleted",
                    PREEMPTED,
                    "1.33 to 1.37",
                ),
                ("AReasonOfTomorrow", "any controller", UNKNOWN, "any"),
                ("", "any controller", UNKNOWN, "any"),
            )
        ),
        Row(
            "DisruptionTarget False, the trainer failed by itself later",
            "kubernetes pkg/controller/disruption/disruption.go",
            failed(
                "",
                "",
                terminated(1, "Error"),
                conditions=[{"type": "DisruptionTarget", "status": "False"}],
            ),
            FAILED,
        ),
        Row(
            "deleted, no DisruptionTarget (a person, Kueue's TerminationTarget)",
            "anyone who may delete pods",
            failed(
                "",
                "",
                EXITED,
                conditions=[{"type": "TerminationTarget", "status": "True", "reason": "Preempted"}],
            ),
            DELETED,
            deleted=True,
        ),
        Row(
            "deleted while the image was pulled: `ContainerStatusUnknown`",
            f"{KUBELET}/status/status_manager.go TerminatePod",
            failed("", "", {"name": "trainer", "state": {"terminated": forgotten(GONE_ON_END)}}),
            DELETED,
            begun=False,
            deleted=True,
        ),
        Row(
            "reason `NodeLost`, deleted",
            "kubernetes pkg/controller/util/node SetPodTerminationReason",
            {
                **failed("NodeLost", "Node x which was running pod y is unresponsive"),
                "containerStatuses": [running()],
            },
            DELETED,
            deleted=True,
        ),
        Row(
            "phase Failed, its containers running as ever, DisruptionTarget `DeletionByPodGC`",
            "kubernetes pkg/controller/podgc/gc_controller.go gcOrphaned; no kubelet says more",
            failed("", "", running(), conditions=disrupted("DeletionByPodGC")),
            PREEMPTED,
            deleted=True,
            world="node gone",
        ),
        Row(
            "phase Failed, its containers running as ever, no DisruptionTarget",
            "kubernetes pkg/controller/podgc/gc_controller.go gcTerminating; the node has the taint"
            " out-of-service",
            failed("", "", running()),
            NODE_LOST,
            deleted=True,
            world="node out of service",
        ),
        Row(
            "phase Failed of a pod without a node that was being deleted",
            "kubernetes pkg/controller/podgc/gc_controller.go gcUnscheduledTerminating",
            {"phase": "Failed"},
            DELETED,
            begun=False,
            deleted=True,
        ),
        Row(
            "the node's object is gone",
            "kubernetes cloud-provider controllers/nodelifecycle; Karpenter, cluster autoscaler",
            {
                "phase": "Running",
                "containerStatuses": [running()],
                "initContainerStatuses": [running(SIDECAR)],
            },
            PREEMPTED,
            world="node gone",
        ),
    ),
)
