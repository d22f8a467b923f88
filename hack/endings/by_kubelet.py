"""What kubelets write when they end a pod."""

from typing import Final

from endings.ends import (
    EVICTED,
    EXITED,
    KILLED,
    KUBELET,
    PLATFORM,
    PREEMPTED,
    SCHEDULER,
    SHUTDOWN,
    STORAGE,
    UNKNOWN,
)
from endings.row import Chapter, Row, disrupted, failed, terminated, waiting

OWN_LIMITS: Final = (
    'Usage of EmptyDir volume "scratch" exceeds the limit "10Gi". ',
    "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ",
    'Container trainer exceeded its local ephemeral storage limit "10Gi". ',
)
PRESSURE: Final = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. ",
    "The node was low on resource: ephemeral-storage. ",
    "The node was low on resource: inodes. ",
    "The node was low on resource: pids. ",
)
EVICTION: Final = f"{KUBELET}/eviction/eviction_manager.go, helpers.go"

ENDED_BY_KUBELET: Final = Chapter(
    "A kubelet ends the pod",
    "A kubelet writes the pod's reason and the DisruptionTarget condition only once no container of"
    " the pod runs any more (`mergePodStatus`); until then the operator does not decide."
    " An eviction for the pod's own limit carries no DisruptionTarget and would happen again"
    " on every node: it is a failure, and says nothing about the capacity.",
    (
        *(
            Row(
                f"reason `Evicted`, DisruptionTarget `TerminationByKubelet`: {message[:40]}…",
                EVICTION,
                failed(
                    "Evicted",
                    message,
                    KILLED,
                    conditions=disrupted("TerminationByKubelet", message),
                ),
                EVICTED,
            )
            for message in PRESSURE
        ),
        *(
            Row(
                f"reason `Evicted`, no DisruptionTarget: {message.strip()}",
                EVICTION,
                failed("Evicted", message, KILLED),
                STORAGE,
            )
            for message in OWN_LIMITS
        ),
        Row(
            "reason `Evicted`, no DisruptionTarget: the sidecar's limit",
            EVICTION,
            failed(
                "Evicted",
                'Container spot-sidecar exceeded its local ephemeral storage limit "1Gi". ',
                KILLED,
            ),
            PLATFORM,
        ),
        *(
            Row(
                f"reason `Evicted`, no DisruptionTarget: the limit of {whose}",
                EVICTION,
                failed("Evicted", message, KILLED),
                end,
            )
            for whose, message, end in (
                (
                    "a container that a webhook added",
                    'Container proxy exceeded its local ephemeral storage limit "1Gi". ',
                    PLATFORM,
                ),
                (
                    "a volume that a webhook added",
                    'Usage of EmptyDir volume "proxy-data" exceeds the limit "1Gi". ',
                    PLATFORM,
                ),
                (
                    "the shared memory, by checkpoint.staging.sizeLimit",
                    'Usage of EmptyDir volume "spot-shared" exceeds the limit "1Gi". ',
                    STORAGE,
                ),
            )
        ),
        Row(
            "reason `Evicted` with a message that nobody knows",
            EVICTION,
            failed("Evicted", "for another reason", KILLED),
            EVICTED,
        ),
        Row(
            "reason `Terminated`, DisruptionTarget `TerminationByKubelet` (graceful node shutdown)",
            f"{KUBELET}/nodeshutdown/nodeshutdown_manager.go",
            failed(
                "Terminated",
                SHUTDOWN,
                terminated(7, "Error"),
                conditions=disrupted("TerminationByKubelet", SHUTDOWN),
            ),
            PREEMPTED,
        ),
        Row(
            "the shutdown of a node whose pod had not begun",
            f"{KUBELET}/nodeshutdown/nodeshutdown_manager.go",
            failed(
                "Terminated",
                SHUTDOWN,
                waiting("PodInitializing"),
                conditions=disrupted("TerminationByKubelet", SHUTDOWN),
            ),
            PREEMPTED,
            begun=False,
        ),
        Row(
            "reason `Terminated` without the condition",
            "GKE and other managed kubelets",
            failed("Terminated", "Pod was terminated in response to node shutdown.", EXITED),
            PREEMPTED,
        ),
        Row(
            "reason `Preempting`, DisruptionTarget `TerminationByKubelet` (for a critical pod)",
            f"{KUBELET}/preemption/preemption.go",
            failed(
                "Preempting",
                "Preempted in order to admit critical pod",
                EXITED,
                conditions=disrupted("TerminationByKubelet"),
            ),
            SCHEDULER,
        ),
        Row(
            "reason `DeadlineExceeded` (something added activeDeadlineSeconds to the pod)",
            f"{KUBELET}/active_deadline.go",
            failed(
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline",
                EXITED,
            ),
            UNKNOWN,
        ),
        Row(
            "any other reason of the pod",
            "any kubelet, virtual kubelets among them",
            failed("AReasonOfTomorrow", "", terminated(1, "Error")),
            UNKNOWN,
        ),
    ),
)
