"""What kubelets write when they refuse a pod."""

from typing import Final

from endings.ends import (
    KUBELET,
    PREEMPTED,
    REJECTED,
)
from endings.row import (
    Chapter,
    Row,
    rejected,
)

ADMISSION: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("OutOfcpu", "Node didn't have enough resource: cpu", "lifecycle/predicate.go", "1.33 to 1.37"),
    (
        "OutOfmemory",
        "Node didn't have enough resource: memory",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    (
        "OutOfephemeral-storage",
        "Node didn't have enough resource: ephemeral-storage",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    (
        "OutOfpods",
        "Node didn't have enough resource: pods",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    (
        "OutOfnvidia.com/gpu",
        "Node didn't have enough resource: nvidia.com/gpu",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    (
        "NodeAffinity",
        "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    ("NodeName", "Predicate NodeName failed", "lifecycle/predicate.go", "1.33 to 1.37"),
    ("NodePorts", "Predicate NodePorts failed", "lifecycle/predicate.go", "1.33 to 1.37"),
    (
        "TaintToleration",
        "Predicate TaintToleration failed",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    (
        "UnexpectedAdmissionError",
        "Allocate failed due to device plugin: no healthy devices present, which is unexpected",
        "cm/admission/errors.go",
        "1.33 to 1.37",
    ),
    (
        "EmptyPodSharedPoolError",
        "the pod spec leaves no shared pool",
        "cm/admission/errors.go",
        "1.36 and 1.37",
    ),
    (
        "TopologyAffinityError",
        "Resources cannot be allocated with Topology locality",
        "cm/topologymanager/topology_manager.go",
        "1.33 to 1.37",
    ),
    (
        "SMTAlignmentError",
        "SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2",
        "cm/cpumanager/policy_static.go",
        "1.33 to 1.37",
    ),
    ("InvalidNodeInfo", "Kubelet cannot get node info.", "lifecycle/predicate.go", "1.33 to 1.37"),
    (
        "PodOSSelectorNodeLabelDoesNotMatch",
        "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    (
        "PodOSNotSupported",
        "Failed to admit pod as the OS field doesn't match node OS",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    (
        "InitContainerRestartPolicyForbidden",
        "Init container may not restart",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    (
        "SupplementalGroupsPolicyNotSupported",
        "SupplementalGroupsPolicy=Strict is not supported in this node",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    ("UnknownReason", "GeneralPredicates failed", "lifecycle/predicate.go", "1.33 to 1.37"),
    (
        "UnexpectedPredicateFailureType",
        "GeneralPredicates failed due to x, which is unexpected.",
        "lifecycle/predicate.go",
        "1.33 to 1.37",
    ),
    ("AppArmor", "Cannot enforce AppArmor", "lifecycle/handlers.go", "1.33 to 1.37"),
    (
        "PodLevelResourcesNotSupported",
        "PodLevelResources feature gate is disabled",
        "lifecycle/features_linux.go",
        "1.33 to 1.37",
    ),
    (
        "PodFeatureUnsupported",
        "Pod requires node features that are not available: x",
        "lifecycle/handlers.go",
        "1.35 to 1.37",
    ),
    ("SysctlForbidden", "forbidden sysctl: x", "sysctl/allowlist.go", "1.33 to 1.37"),
    (
        "Evicted",
        "The node had condition: [DiskPressure]. ",
        "eviction/eviction_manager.go (Admit)",
        "1.33 to 1.37",
    ),
    (
        "NodeShutdown",
        "Pod was rejected as the node is shutting down.",
        "nodeshutdown/nodeshutdown_manager.go",
        "1.33 to 1.37",
    ),
    (
        "VolumeAttachmentLimitExceeded",
        "volume attachment limit exceeded",
        "volumemanager/volume_manager.go",
        "1.34 to 1.37",
    ),
    ("AReasonOfTomorrow", "for a reason that nobody knows yet", "lifecycle", "any"),
)
"""Reason, message, file below pkg/kubelet, versions."""


def _refused(*, begun: bool) -> tuple[Row, ...]:
    what = "a running pod, after the kubelet restarted" if begun else "a new pod"
    return tuple(
        Row(
            f"phase Failed, reason `{reason}`, of {what}",
            f"{KUBELET}/{source}; kubelet.go rejectPod",
            rejected(reason, message),
            # Only a pod that had started can be shut down.
            PREEMPTED if begun and reason == "NodeShutdown" else REJECTED,
            begun=begun,
            versions=versions,
        )
        for reason, message, source, versions in ADMISSION
    )


ADMITTED: Final = Chapter(
    "A kubelet refuses the pod",
    "The operator knows this by the message, which begins with `Pod was rejected: `; the reason may"
    " be any. The status no longer says what the containers did; the operator remembers whether"
    " the trainer had run. Nothing is charged, and new pods avoid the node for a while.",
    (*_refused(begun=False), *_refused(begun=True)),
)
