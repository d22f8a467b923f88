"""What runtimes write when a container ends."""

from typing import Final

from endings.ends import (
    CONTAINERD,
    EXITED,
    FAILED,
    KILLED,
    KUBELET,
    MEMORY,
    REFUSED,
    UNKNOWN,
)
from endings.row import (
    NEVER,
    SIDECAR,
    Chapter,
    Row,
    failed,
    running,
    terminated,
    waiting,
)

EXITS: Final = Chapter(
    "The trainer's container ended",
    "The reason decides before the exit code. Out of memory with cgroup v2 every process of the"
    " container dies (137); with cgroup v1, or `singleProcessOOMKill`, one of them does, and the"
    " code is what the others make of it.",
    (
        Row(
            "`OOMKilled`, 137 (cgroup v2)",
            f"{CONTAINERD}/events.go",
            failed("", "", terminated(137, "OOMKilled")),
            MEMORY,
        ),
        Row(
            "`OOMKilled`, 9 (cgroup v1: one process of several)",
            f"{CONTAINERD}/events.go",
            failed("", "", terminated(9, "OOMKilled")),
            MEMORY,
        ),
        Row(
            "`OOMKilled`, 0 (the parent ended as if nothing had been)",
            "cri-o server/container_status.go",
            failed("", "", terminated(0, "OOMKilled")),
            MEMORY,
        ),
        Row(
            "`Error`, 1",
            f"{CONTAINERD}/container_status.go",
            failed("", "", terminated(1, "Error")),
            FAILED,
        ),
        Row(
            "`Error`, 255 (`sys.exit(-1)`)",
            f"{CONTAINERD}/container_status.go",
            failed("", "", terminated(255, "Error")),
            FAILED,
        ),
        Row(
            "`Error`, 134, 135, 136, 139: the process crashed",
            f"{CONTAINERD}/container_status.go",
            failed("", "", terminated(139, "Error")),
            FAILED,
        ),
        Row(
            "`Error`, 137: SIGKILL, and nobody says whose",
            "a probe, a person on the node, a kernel out of memory for the whole node; or out of "
            "its own memory, where containerd read the kernel's word too late (its issue 8893)",
            failed("", "", KILLED),
            UNKNOWN,
        ),
        Row(
            "`Error`, 143: SIGTERM, and nobody says whose",
            "a failed probe, a person on the node, a shutdown that is not graceful",
            failed("", "", EXITED),
            UNKNOWN,
        ),
        *(
            Row(
                f"`Error`, {code}: {signal}, and nobody says whose",
                "an image's STOPSIGNAL or `lifecycle.stopSignal`, a person; no crash raises it",
                failed("", "", terminated(code, "Error")),
                UNKNOWN,
            )
            for code, signal in (
                (129, "SIGHUP"),
                (130, "SIGINT"),
                (131, "SIGQUIT"),
                (138, "SIGUSR1"),
                (140, "SIGUSR2"),
            )
        ),
        Row(
            "`seccomp killed`",
            "cri-o server/container_status.go",
            failed("", "", terminated(159, "seccomp killed")),
            FAILED,
        ),
        Row(
            "`Completed`, 0, without a completion marker",
            f"{CONTAINERD}/container_status.go",
            {"phase": "Succeeded", "containerStatuses": [terminated(0, "Completed")]},
            FAILED,
        ),
        Row(
            "`Error`, 93 (`spot.refuse`)",
            "the SDK",
            failed("", "", terminated(93, "Error")),
            REFUSED,
        ),
        Row(
            "`Error`, 94, the sidecar's word lost",
            "the SDK",
            failed("", "", terminated(94, "Error")),
            UNKNOWN,
        ),
        Row(
            "the sidecar `OOMKilled` and started again, the trainer running",
            f"{CONTAINERD}/events.go; shared memory stays charged to the pod",
            {
                "phase": "Running",
                "containerStatuses": [running()],
                "initContainerStatuses": [
                    running(
                        SIDECAR,
                        restarts=1,
                        last={"exitCode": 137, "reason": "OOMKilled", "finishedAt": NEVER},
                    )
                ],
            },
            None,
        ),
        Row(
            "the sidecar waiting `CreateContainerError` while it runs (its node's clock went back)",
            f"{KUBELET}/kuberuntime/kuberuntime_container.go; containerd's names",
            {
                "phase": "Running",
                "containerStatuses": [running()],
                "initContainerStatuses": [
                    waiting(
                        "CreateContainerError",
                        'failed to reserve container name "x_3": name is reserved for "742c"',
                        name=SIDECAR,
                        restarts=2,
                    )
                ],
            },
            None,
        ),
        Row(
            "Ready False or Unknown, everything running",
            "kubernetes pkg/controller/util/node MarkPodsNotReady; a node that was frozen",
            {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}],
                "containerStatuses": [running()],
                "initContainerStatuses": [running(SIDECAR)],
            },
            None,
        ),
    ),
)
