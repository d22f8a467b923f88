"""What kubelets and runtimes write when a container does not start."""

from typing import Final

from endings.ends import (
    CONTAINERD,
    KUBELET,
    PLATFORM,
    START,
)
from endings.row import (
    ADDED,
    NEVER,
    SIDECAR,
    Chapter,
    End,
    Json,
    Row,
    failed,
    pending,
    running,
    terminated,
    waiting,
)


def _start(
    written: str,
    source: str,
    trainer: tuple[str, str],
    first: End = START,
    versions: str = "1.33 to 1.37",
) -> Row:
    return Row(
        written,
        f"{KUBELET}/{source}",
        pending(waiting(*trainer)),
        PLATFORM,
        first=first,
        begun=False,
        versions=versions,
    )


def _ended_before(written: str, container: Json, first: End | None = None) -> Row:
    return Row(
        written,
        f"{CONTAINERD}/container_status.go",
        {
            "phase": "Failed",
            "containerStatuses": [waiting("PodInitializing")],
            "initContainerStatuses": [terminated(0, "Completed", name=SIDECAR), container],
        },
        PLATFORM,
        first=first,
        begun=False,
    )


IMAGES: Final = "images/types.go, image_manager.go"
CREATE: Final = "kuberuntime/kuberuntime_container.go"
SYNC: Final = "container/sync_result.go"

STARTS: Final = Chapter(
    "A container does not start",
    "Once a trainer of the job has started, the template is proved, and none of this is the job's."
    " Before, only what certainly is: an answer of the registry that no waiting changes, a Secret"
    " that is not there, a command that the image lacks. What registries, runtimes and kubelets"
    " say of trouble of their own, and what nobody knows, is theirs. Pods wait in place, ten"
    " minutes where patience can help; then the attempt is given up, uncharged, and the next one"
    " waits a growing while. The operator's own sidecar is never the job's fault, nor is a"
    " container that a webhook added to the pod, nor an init container that something killed.",
    (
        _start(
            "waiting `ErrImagePull`: not found", IMAGES, ("ErrImagePull", "digits:1: not found")
        ),
        _start(
            "waiting `ErrImagePull`: denied",
            IMAGES,
            ("ErrImagePull", "pull access denied for digits"),
        ),
        _start(
            "waiting `ErrImagePull`: time-outs, 429, 5xx, a name that does not resolve",
            IMAGES,
            ("ErrImagePull", "dial tcp: lookup registry: i/o timeout"),
            PLATFORM,
        ),
        _start(
            "waiting `ErrImagePull`: no space left, content digest not found",
            IMAGES,
            ("ErrImagePull", "write /var/lib/containerd/x: no space left on device"),
            PLATFORM,
        ),
        _start(
            "waiting `ImagePullBackOff` without the registry's answer",
            IMAGES,
            ("ImagePullBackOff", 'Back-off pulling image "digits:1"'),
            PLATFORM,
        ),
        _start(
            "waiting `InvalidImageName`", IMAGES, ("InvalidImageName", "couldn't parse image name")
        ),
        _start("waiting `ErrImageNeverPull`", IMAGES, ("ErrImageNeverPull", "")),
        _start(
            "waiting `ImageInspectError`",
            IMAGES,
            ("ImageInspectError", "Failed to inspect image"),
            PLATFORM,
        ),
        _start(
            "waiting `RegistryUnavailable`",
            "images/image_manager.go; cri-api pkg/errors",
            ("RegistryUnavailable", "image pull failed because the registry is unavailable"),
            PLATFORM,
        ),
        _start(
            "waiting `SignatureValidationFailed`",
            "images/image_manager.go; cri-api pkg/errors",
            ("SignatureValidationFailed", "the signature validation failed"),
        ),
        _start(
            "waiting `ImageVolumeMountFailed`",
            "cri-api pkg/errors",
            ("ImageVolumeMountFailed", "data:1: not found"),
            versions="1.34 to 1.37",
        ),
        _start("waiting `RROUnsupported`", "cri-api pkg/errors", ("RROUnsupported", "")),
        _start(
            "waiting `CreateContainerConfigError`: not found",
            CREATE,
            ("CreateContainerConfigError", 'secret "keys" not found'),
        ),
        _start(
            "waiting `CreateContainerConfigError`: failed to sync the cache",
            CREATE,
            ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting"),
            PLATFORM,
        ),
        _start(
            "waiting `CreateContainerError`",
            CREATE,
            ("CreateContainerError", "failed to generate container spec: no such device"),
        ),
        _start(
            "waiting `CreateContainerError`: the name is reserved",
            CREATE,
            (
                "CreateContainerError",
                'failed to reserve container name "x": name is reserved for "y"',
            ),
            PLATFORM,
        ),
        _start("waiting `PreCreateHookError`", CREATE, ("PreCreateHookError", ""), PLATFORM),
        _start("waiting `PreStartHookError`", CREATE, ("PreStartHookError", ""), PLATFORM),
        _start("waiting `PostStartHookError`", CREATE, ("PostStartHookError", "exited with 1")),
        _start(
            "waiting `RunContainerError`: the command",
            SYNC,
            ("RunContainerError", 'exec: "trian": executable file not found in $PATH'),
        ),
        _start(
            "waiting `RunContainerError`: the driver",
            SYNC,
            ("RunContainerError", "nvidia-container-cli: initialization error: nvml error"),
            PLATFORM,
        ),
        _start(
            "waiting `CrashLoopBackOff` of a container that stays",
            SYNC,
            ("CrashLoopBackOff", "back-off 10s restarting failed container"),
        ),
        *(
            _start(f"waiting `{reason}`", SYNC, (reason, ""), PLATFORM)
            for reason in (
                "CreatePodSandboxError",
                "ConfigPodSandboxError",
                "KillPodSandboxError",
                "KillContainerError",
                "RemoveContainerError",
                "ResizePodInPlaceError",
                "AReasonOfTomorrow",
            )
        ),
        Row(
            "waiting `ContainerCreating`, no container begun within half an hour",
            f"{KUBELET}/kubelet_pods.go; volumes, network, devices, pod certificates",
            pending(waiting("ContainerCreating"), waiting("ContainerCreating", name=SIDECAR)),
            PLATFORM,
            first=START,
            begun=False,
        ),
        Row(
            "terminated `StartError`, 128: the command",
            f"{CONTAINERD}/container_start.go",
            failed(
                "",
                "",
                terminated(
                    128,
                    "StartError",
                    'failed to create containerd task: exec: "trian": executable file not found',
                    started=NEVER,
                ),
            ),
            PLATFORM,
            first=START,
            begun=False,
        ),
        Row(
            "terminated `StartError`, 128: the runtime",
            f"{CONTAINERD}/container_start.go",
            failed(
                "",
                "",
                terminated(
                    128,
                    "StartError",
                    "failed to create containerd task: context deadline exceeded",
                    started=NEVER,
                ),
            ),
            PLATFORM,
            begun=False,
        ),
        Row(
            "terminated `ContainerCannotRun`",
            "cri-dockerd",
            failed("", "", terminated(127, "ContainerCannotRun", "no such file", started=NEVER)),
            PLATFORM,
            first=START,
            begun=False,
        ),
        Row(
            "an init container ended with an error",
            f"{CONTAINERD}/container_status.go",
            {
                "phase": "Failed",
                "containerStatuses": [waiting("PodInitializing")],
                "initContainerStatuses": [
                    terminated(0, "Completed", name=SIDECAR),
                    terminated(3, "Error", "no such bucket", name="prepare"),
                ],
            },
            PLATFORM,
            first=START,
            begun=False,
        ),
        *(
            _ended_before(written, terminated(code, reason, name="prepare"), first)
            for written, code, reason, first in (
                ("an init container `OOMKilled`, 137", 137, "OOMKilled", START),
                ("an init container `Error`, 137 or 143: nobody says whose", 137, "Error", None),
                ("an init container `Error`, -1 (no exit code was found)", -1, "Error", None),
            )
        ),
        _ended_before(
            "an init container that a webhook added ended with an error",
            terminated(1, "Error", "iptables: permission denied", name=ADDED),
        ),
        *(
            Row(
                f"a container that a webhook added waiting `{reason}`",
                f"{KUBELET}/{IMAGES}",
                {
                    **pending(waiting("PodInitializing")),
                    "initContainerStatuses": [
                        running(SIDECAR),
                        waiting(reason, message, name=ADDED),
                    ],
                },
                PLATFORM,
                begun=False,
            )
            for reason, message in (
                ("ErrImagePull", "proxy:1: not found"),
                ("CreateContainerConfigError", 'configmap "proxy" not found'),
                ("CrashLoopBackOff", "back-off 10s restarting failed container"),
            )
        ),
        Row(
            "the sidecar waiting `ErrImagePull`: not found",
            f"{KUBELET}/{IMAGES}",
            pending(
                waiting("PodInitializing"),
                waiting("ErrImagePull", "sidecar:2: not found", name=SIDECAR),
            ),
            PLATFORM,
            begun=False,
        ),
        Row(
            "the sidecar waiting `CrashLoopBackOff`",
            f"{KUBELET}/{SYNC}",
            pending(
                waiting("PodInitializing"),
                waiting("CrashLoopBackOff", "back-off", name=SIDECAR, restarts=4),
            ),
            PLATFORM,
            begun=False,
        ),
        Row(
            "the sidecar restarted and running again, the trainer's image being pulled",
            f"{KUBELET}/kubelet_pods.go",
            pending(waiting("PodInitializing"), running(SIDECAR, restarts=2)),
            None,
            begun=False,
        ),
        Row(
            "waiting `RestartingAllContainers`",
            f"{KUBELET}/kubelet_pods.go",
            pending(waiting("RestartingAllContainers")),
            None,
            begun=False,
            versions="1.35 to 1.37",
        ),
    ),
)
