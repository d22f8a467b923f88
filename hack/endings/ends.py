"""The endings, and texts that several chapters quote."""

from typing import Final

from endings.row import End, terminated

KUBELET: Final = "kubernetes pkg/kubelet"
CONTAINERD: Final = "containerd internal/cri/server"

PAUSED: Final = End("Paused", "interruption")
PREEMPTED: Final = End("Preempted", "interruption")
NODE_LOST: Final = End("NodeLost", "interruption")
EVICTED: Final = End("Evicted", "interruption")
DELETED: Final = End("Deleted", "interruption")
SCHEDULER: Final = End("SchedulerPreempted", "interruption")
UNKNOWN: Final = End("Unknown", "interruption")
REJECTED: Final = End("AdmissionRejected", "nothing")
PLATFORM: Final = End("PlatformTrouble", "nothing")
START: Final = End("StartFailed", "failure")
MEMORY: Final = End("OutOfMemory", "failure")
STORAGE: Final = End("OutOfStorage", "failure")
FAILED: Final = End("TrainerFailed", "failure")
REFUSED: Final = End("TrainerRefused", "nothing")

EXITED: Final = terminated(143, "Error")
KILLED: Final = terminated(137, "Error")
GONE_ON_DELETE: Final = (
    "The container could not be located when the pod was deleted.  The container used to be Running"
)
GONE_ON_END: Final = "The container could not be located when the pod was terminated"
SHUTDOWN: Final = "Pod was terminated in response to imminent node shutdown."
