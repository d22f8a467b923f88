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
    " Before that, only what certainly is the job's counts so: an answer of the registry that no"
    " waiting changes, a missing Secret, a command that the image lacks. What registries, runtimes"
    " and kubelets report of their own trouble, and every text that the operator does not know, is"
    " theirs. Pods wait in place for ten minutes if waiting can help; then the attempt is given up,"
    " uncharged. The next one starts after a growing wait, elsewhere if it can. The operator's"
    " own sidecar is never the job's fault, nor is a container that a webhook added to the pod, nor"
    " an init container that something killed.",
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
            "waiting `ErrImagePull`: nothing definite, of an image whose name sounds so",
            IMAGES,
            (
                "ErrImagePull",
                'failed to resolve reference "registry/denied/signature:1": tls: failed to verify',
            ),
            PLATFORM,
        ),
        _start(
            "waiting `ErrImagePull`: not found, of an image whose name sounds like an outage",
            IMAGES,
            (
                "ErrImagePull",
                'failed to resolve reference "team/quota-eof:1": team/quota-eof:1: not found',
            ),
        ),
        _start(
            "waiting with a sentence in the place of a reason",
            "images/image_manager.go EnsureImageExists",
            ("failed to look up the credentials of the image", ""),
            PLATFORM,
            versions="1.34 to 1.37",
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
        *(
            _start(
                f"waiting `CreateContainerConfigError`: {what}",
                source,
                ("CreateContainerConfigError", message),
                versions=versions,
            )
            for what, source, message, versions in (
                (
                    "a key that is not there",
                    "kubelet_pods.go makeEnvironmentVariables",
                    "couldn't find key token in Secret research/keys",
                    "1.33 to 1.37",
                ),
                (
                    "root where it is forbidden",
                    "kuberuntime/security_context_others.go",
                    "container has runAsNonRoot and image will run as root (pod: x, container: y)",
                    "1.33 to 1.37",
                ),
                (
                    "a key that its file lacks",
                    "kubelet_pods.go makeEnvironmentVariables",
                    'environment variable key "TOKEN" not found in file "keys.env"',
                    "1.34 to 1.37",
                ),
                (
                    "a path that is none",
                    "kubelet_pods.go makeMounts",
                    "error SubPath `/x` must not be an absolute path",
                    "1.33 to 1.37",
                ),
            )
        ),
        *(
            _start(
                f"waiting `CreateContainerConfigError`: {what}",
                source,
                ("CreateContainerConfigError", message),
                PLATFORM,
            )
            for what, source, message in (
                (
                    "the kubelet knows no services yet",
                    "kubelet_pods.go makeEnvironmentVariables",
                    "services have not yet been read at least once, cannot construct envvars",
                ),
                (
                    "the node may not read the Secret yet",
                    "secret/secret_manager.go; the node authorizer",
                    (
                        'secrets "keys" is forbidden: User "system:node:a" cannot get resource'
                        ' "secrets": no relationship found between node "a" and this object'
                    ),
                ),
                (
                    "a volume that has gone",
                    "kubelet_pods.go makeMounts; a FUSE or NFS server",
                    (
                        "failed to create subPath directory for volumeMount: transport endpoint is"
                        " not connected"
                    ),
                ),
                (
                    "a text that nobody knows",
                    CREATE,
                    "for a reason of tomorrow",
                ),
            )
        ),
        *(
            _start(
                f"waiting `CreateContainerError`: {what}", source, ("CreateContainerError", text)
            )
            for what, source, text in (
                (
                    "the command (CRI-O asks its runtime at once)",
                    "kuberuntime; cri-o server/container_create.go, crun",
                    "container create failed: executable file `trian` not found in $PATH",
                ),
                (
                    "an image without a command",
                    "kuberuntime; containerd internal/cri/server/container_create.go",
                    "invalid empty entrypoint and cmd in image config {}",
                ),
                (
                    "a user that the image lacks",
                    "kuberuntime; containerd pkg/oci/spec_opts.go",
                    "failed to apply OCI options: no users found",
                ),
            )
        ),
        *(
            _start(
                f"waiting `CreateContainerError`: {what}",
                CREATE,
                ("CreateContainerError", text),
                PLATFORM,
            )
            for what, text in (
                (
                    "the node's storage of images",
                    'create snapshot: missing parent "k8s.io/2/sha256:77" bucket: not found',
                ),
                (
                    "the device's driver",
                    "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0",
                ),
                ("a path of the node", 'failed to stat "/mnt/data": no such file or directory'),
                ("a text that nobody knows", "for a reason of tomorrow"),
            )
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
        *(
            _start(
                f"waiting `RunContainerError`: {what}", f"{SYNC}; runc", ("RunContainerError", text)
            )
            for what, text in (
                (
                    "memory for not even a process",
                    "runc create failed: container init was OOM-killed (memory limit too low?)",
                ),
                (
                    "a folder mounted on a file",
                    (
                        "error mounting: not a directory: unknown: Are you trying to mount a "
                        "directory onto a file (or vice-versa)?"
                    ),
                ),
                ("a user that the image lacks", "unable to find user trainer: invalid argument"),
                ("the command, by crun", "executable file `trian` not found in $PATH"),
                ("the command, by gVisor", 'error finding executable "trian" in PATH'),
            )
        ),
        *(
            _start(
                f"waiting `RunContainerError`: {what}",
                f"{SYNC}; containerd, nvidia-container-toolkit",
                ("RunContainerError", text),
                PLATFORM,
            )
            for what, text in (
                (
                    "a program that the runtime lacks",
                    (
                        'failed to start shim: exec: "containerd-shim-runc-v2": executable file not'
                        " found in $PATH"
                    ),
                ),
                (
                    "the driver's hook",
                    (
                        "runc create failed: error running prestart hook #0: exec: "
                        '"nvidia-container-runtime-hook": executable file not found in $PATH'
                    ),
                ),
            )
        ),
        _start(
            "waiting `RunContainerError`: a text that nobody knows",
            f"{SYNC}; runc, crun, kata, gVisor",
            ("RunContainerError", "runc create failed: error mounting proc: no such device"),
            PLATFORM,
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
            "terminated `StartError`, 128: the driver",
            f"{CONTAINERD}/container_start.go; nvidia-container-toolkit",
            failed(
                "",
                "",
                terminated(
                    128,
                    "StartError",
                    "failed to create containerd task: failed to inject CDI devices: unresolvable "
                    "CDI devices management.nvidia.com/gpu=0",
                    started=NEVER,
                ),
            ),
            PLATFORM,
            begun=False,
        ),
        Row(
            "terminated `ContainerCannotRun`",
            "cri-dockerd",
            failed(
                "",
                "",
                terminated(
                    127,
                    "ContainerCannotRun",
                    'exec: "trian": executable file not found in $PATH',
                    started=NEVER,
                ),
            ),
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
            "the sidecar ended and not started again: the pod's sandbox is lost, and the kubelet"
            " makes no other where restartPolicy is Never",
            f"{KUBELET}/kuberuntime/kuberuntime_manager.go computePodActions; its issue 118321",
            pending(waiting("PodInitializing"), terminated(137, "Error", name=SIDECAR)),
            PLATFORM,
            begun=False,
        ),
        *(
            Row(
                f"PodReadyToStartContainers {status}, an init container ended, the sidecar not"
                f" started yet: {what}",
                f"{KUBELET}/status/generate.go; kuberuntime/kuberuntime_manager.go"
                " computePodActions",
                {
                    **pending(waiting("PodInitializing")),
                    "conditions": [
                        {"type": "PodReadyToStartContainers", "status": status, "reason": reason}
                    ],
                    "initContainerStatuses": [
                        terminated(0, "Completed", name=ADDED),
                        waiting("PodInitializing", name=SIDECAR),
                    ],
                },
                ending,
                begun=False,
            )
            for status, reason, what, ending in (
                ("False", "PodSandboxNotReady", "the sandbox is lost for good", PLATFORM),
                ("True", "", "its image is being pulled", None),
            )
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
