"""What kubelets and runtimes write when they have lost a container."""

from typing import Final

from endings.ends import CONTAINERD, GONE_ON_DELETE, GONE_ON_END, KUBELET, NODE_LOST, UNKNOWN
from endings.row import NEVER, Chapter, Row, failed, forgotten, terminated, waiting

LOST: Final = Chapter(
    "The container's state was lost",
    "The exit code beside such a reason means nothing, and `finishedAt` is the time at which the"
    " loss was noticed: after a power cut, the time of the recovery. The operator computes no lost"
    " time from it. A machine that goes down without a graceful shutdown ends the trainer first: a"
    " reboot within five minutes of the trainer's end explains that end, whichever is seen first."
    " If the node is silent from the trainer's end on, and its pod has not ended before, that end"
    " is Unknown, whether the node's object stays or goes.",
    (
        Row(
            "terminated `ContainerStatusUnknown`, 137, no startedAt (the pod ended)",
            f"{KUBELET}/status/status_manager.go TerminatePod",
            failed("", "", {"name": "trainer", "state": {"terminated": forgotten(GONE_ON_END)}}),
            UNKNOWN,
        ),
        Row(
            "terminated `ContainerStatusUnknown`, 137 (it ran, and the runtime knows it no more)",
            f"{KUBELET}/kubelet_pods.go convertContainerStatus",
            failed("", "", {"name": "trainer", "state": {"terminated": forgotten(GONE_ON_END)}}),
            UNKNOWN,
        ),
        Row(
            "waiting, its last state terminated `ContainerStatusUnknown`, 137",
            f"{KUBELET}/kubelet_pods.go convertToAPIContainerStatuses",
            failed(
                "",
                "",
                {
                    **waiting("PodInitializing", restarts=1),
                    "lastState": {"terminated": forgotten(GONE_ON_DELETE)},
                },
            ),
            UNKNOWN,
        ),
        Row(
            "terminated `Unknown`, 255 (a task gone after a reboot, or a lost shim)",
            f"{CONTAINERD}/restart.go",
            failed("", "", terminated(255, "Unknown")),
            UNKNOWN,
        ),
        Row(
            "the same, finishedAt 1970",
            f"{CONTAINERD}/helpers.go unknownContainerStatus",
            failed("", "", terminated(255, "Unknown", started=NEVER)),
            UNKNOWN,
        ),
        Row(
            "terminated `Error`, -1 (no exit code was found)",
            "cri-o server/container_status.go",
            failed("", "", terminated(-1, "Error")),
            UNKNOWN,
        ),
        Row(
            "terminated `Error`, 255, of a node that was silent just before (no exit file)",
            "cri-o internal/oci/runtime_oci.go UpdateContainerStatus",
            failed("", "", terminated(255, "Error")),
            UNKNOWN,
            world="node silent before",
        ),
        Row(
            "any exit code of a node that has rebooted since",
            "systemd stops the containers before the kubelet tells of it",
            failed("", "", terminated(7, "Error")),
            NODE_LOST,
            world="node rebooted",
        ),
        Row(
            "any exit code of a node that was silent just before",
            "the same, the pod's news before the node's",
            failed("", "", terminated(7, "Error")),
            UNKNOWN,
            world="node silent before",
        ),
        Row(
            "phase Failed without a reason and without containers",
            "anyone who may write the status of pods",
            failed(),
            UNKNOWN,
        ),
        Row(
            "the same of a pod that had not begun",
            "anyone who may write the status of pods",
            failed(),
            UNKNOWN,
            begun=False,
        ),
    ),
)
