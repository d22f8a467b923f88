"""What runtimes write when a container ends."""

from collections.abc import Iterator
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
    ALL,
    NEVER,
    SIDECAR,
    Chapter,
    End,
    Json,
    Row,
    counted,
    devices,
    failed,
    forgotten,
    running,
    terminated,
    waiting,
)

COUNTED: Final = "and the sidecar saw the kernel count"
EVENTS: Final = "the kernel's `memory.events` of the trainer's cgroup, mm/memcontrol.c"
ALL_AGAIN: Final = "RestartingAllContainers"


def _started_again() -> Iterator[tuple[str, Json, str, int, str, End, str]]:
    """A trainer that a kubelet started again, as only a changed pod lets it: its end before."""
    rules = f"{KUBELET}/container/helpers.go; a webhook gave it a restartPolicy or rules"
    together = f"{KUBELET}/kubelet_pods.go; rules of a container that a webhook added"
    for code, reason, end in (
        (1, "Error", FAILED),
        (137, "OOMKilled", MEMORY),
        (137, "Error", UNKNOWN),
    ):
        last = terminated(code, reason)["state"]["terminated"]
        again = running(restarts=3, last=last)
        yield "running again", again, reason, code, rules, end, "1.34 to 1.37"
        backing_off = {**waiting("CrashLoopBackOff", restarts=3), "lastState": {"terminated": last}}
        yield "waiting `CrashLoopBackOff`", backing_off, reason, code, rules, end, "1.34 to 1.37"
    last = {
        **forgotten("The container is removed because RestartAllContainers in place"),
        "reason": ALL_AGAIN,
    }
    waits = {**waiting(ALL_AGAIN, restarts=1), "lastState": {"terminated": last}}
    yield (
        "waiting `RestartingAllContainers`",
        waits,
        ALL_AGAIN,
        137,
        together,
        UNKNOWN,
        "1.35 to 1.37",
    )
    again = running(restarts=1, last=last)
    yield "running again", again, ALL_AGAIN, 137, together, UNKNOWN, "1.35 to 1.37"


EXITS: Final = Chapter(
    "The trainer's container ended",
    "The reason decides before the exit code. Out of memory with cgroup v2 every process of the"
    " container dies (137); with cgroup v1, or `singleProcessOOMKill`, one of them does, and the"
    " code depends on how the others react. If the kubelet reports that a device is not healthy, an"
    " exit code proves nothing. If a kubelet started the trainer again, which only a webhook can"
    " cause, the end of its run before counts."
    " If the runtime is too late to know the reason, the"
    " kernel's own counters show it, if the sidecar read them before the container's cgroup was"
    " removed: a trainer with the SDK gives it the open files when it starts (cgroup v2). `oom`"
    " counts only the container's own limit, which tells it from a node or pod without memory."
    " The counters come from the trainer: they can make an ending its failure, but not the"
    " reverse.",
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
            "its own memory, where containerd read the kernel's word too late (its issue 8893) and "
            "so did the sidecar, or the script has no SDK",
            failed("", "", KILLED),
            UNKNOWN,
        ),
        Row(
            f"`Error`, 137, {COUNTED} `oom` and `oom_kill` within a minute before the end",
            f"{EVENTS}; containerd read it too late (its issue 8893)",
            failed("", "", KILLED, initContainerStatuses=[counted(1, 2, 0.2)]),
            MEMORY,
        ),
        Row(
            f"`Error`, 1, {COUNTED} the same: one process was killed, the others gave up",
            EVENTS,
            failed("", "", terminated(1, "Error"), initContainerStatuses=[counted(1, 1, 3.0)]),
            MEMORY,
        ),
        Row(
            f"`Error`, 137, {COUNTED} `oom_kill` without `oom`: the node's memory, or the pod's",
            f"{EVENTS}; a kernel out of memory for the whole node, whose kubelet writes the event "
            "SystemOOM",
            failed("", "", KILLED, initContainerStatuses=[counted(0, 2, 0.2)]),
            UNKNOWN,
        ),
        Row(
            f"`Error`, 137, {COUNTED} `oom` and `oom_kill` an hour before the end",
            f"{EVENTS}; the trainer outlived it",
            failed("", "", KILLED, initContainerStatuses=[counted(1, 1, 3600.0)]),
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
        *(
            Row(
                f"`Error`, {code}, `allocatedResourcesStatus` of the trainer: {health}",
                f"{KUBELET}/cm/devicemanager/manager.go, cm/dra/manager.go",
                failed("", "", {**terminated(code, reason), **devices(health)}),
                end,
                versions="1.36 and 1.37; a feature gate before",
            )
            for code, reason, health, end in (
                (1, "Error", "Unhealthy", UNKNOWN),
                (134, "Error", "Unhealthy", UNKNOWN),
                (137, "OOMKilled", "Unhealthy", MEMORY),
                (1, "Error", "Unknown", FAILED),
                (1, "Error", "Healthy", FAILED),
            )
        ),
        Row(
            "a device of the trainer Unhealthy, everything running",
            f"{KUBELET}/cm/devicemanager/manager.go; a device plugin that restarts",
            {
                "phase": "Running",
                "containerStatuses": [{**running(), **devices("Unhealthy")}],
                "initContainerStatuses": [running(SIDECAR)],
            },
            None,
            versions="1.36 and 1.37; a feature gate before",
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
        *(
            Row(
                f"{seen}, its last state terminated `{reason}`, {code}",
                source,
                {
                    "phase": "Running",
                    "containerStatuses": [again],
                    "initContainerStatuses": [running(SIDECAR)],
                },
                end,
                versions=versions,
            )
            for seen, again, reason, code, source, end, versions in _started_again()
        ),
        *(
            Row(
                f"{kind} {status}, reason `{reason}`, everything running",
                f"{KUBELET}/{source}",
                {
                    "phase": "Running",
                    "conditions": [{"type": kind, "status": status, "reason": reason}],
                    "containerStatuses": [running()],
                    "initContainerStatuses": [running(SIDECAR)],
                },
                None,
                versions=versions,
            )
            for kind, status, reason, source, versions in (
                ("PodResizePending", "True", "Deferred", "allocation", ALL),
                ("PodResizePending", "True", "Infeasible", "allocation/handlers.go", ALL),
                ("PodResizeInProgress", "True", "Error", "status/status_manager.go", ALL),
                (
                    "AllContainersRestarting",
                    "True",
                    "Started",
                    "status/generate.go",
                    "1.35 to 1.37",
                ),
                (
                    "PodReadyToStartContainers",
                    "False",
                    "PodSandboxNotReady",
                    "status/generate.go",
                    ALL,
                ),
                ("ContainersReady", "False", "ContainersNotReady", "status/generate.go", ALL),
            )
        ),
        Row(
            "an ephemeral container ended with an error",
            f"{KUBELET}/kubelet_pods.go; `kubectl debug`",
            {
                "phase": "Running",
                "containerStatuses": [running()],
                "initContainerStatuses": [running(SIDECAR)],
                "ephemeralContainerStatuses": [terminated(1, "Error", name="debugger")],
            },
            None,
        ),
        Row(
            "an init container `Completed`, 0, of which the runtime knows no more",
            f"{KUBELET}/kubelet_pods.go convertToAPIContainerStatuses",
            {
                "phase": "Running",
                "containerStatuses": [running()],
                "initContainerStatuses": [
                    running(SIDECAR),
                    terminated(0, "Completed", name="prepare", started=None),
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
