"""One thing that a program writes into a pod's status, and how the attempt ends by it."""

import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Json = dict[str, Any]
Charge = Literal["interruption", "failure", "nothing"]
World = Literal[
    "as usual", "node gone", "node out of service", "node rebooted", "node silent before"
]

TRAINER: Final = "trainer"
SIDECAR: Final = "spot-sidecar"
ADDED: Final = "proxy"
"""A container that a webhook added to the pod."""
STARTED: Final = "2026-03-01T12:00:00Z"
ENDED: Final = "2026-03-01T12:30:00Z"
NEVER: Final = "1970-01-01T00:00:00Z"
"""What a kubelet makes of a runtime's time 0."""
ALL: Final = "1.33 to 1.37"
"""The versions of Kubernetes that are supported."""


@dataclass(frozen=True, slots=True)
class End:
    """How the attempt ends."""

    ending: str
    charge: Charge


@dataclass(frozen=True, slots=True)
class Row:
    """A status as its writer writes it."""

    written: str
    """How a person finds it in `kubectl get pod -o yaml`."""
    source: str
    """Project and file that write it."""
    status: Json
    end: End | None
    """Once a trainer of the job has ever started; None: the attempt goes on."""
    first: End | None = None
    """While none has, where that differs; only of a pod whose trainer did not begin."""
    begun: bool = True
    """The trainer of this pod was running before."""
    deleted: bool = False
    """The pod is being deleted, and not by the operator."""
    world: World = "as usual"
    versions: str = ALL


@dataclass(frozen=True, slots=True)
class Chapter:
    """Rows of one kind."""

    title: str
    text: str
    rows: tuple[Row, ...] = field(default=())


def terminated(
    code: int, reason: str, message: str = "", *, started: str | None = STARTED, name: str = TRAINER
) -> Json:
    """The status of a container that has ended."""
    state: Json = {"exitCode": code, "reason": reason, "finishedAt": ENDED}
    if message:
        state["message"] = message
    # The kubelet writes null for a time that it does not know.
    state["startedAt"] = started
    return {"name": name, "restartCount": 0, "state": {"terminated": state}}


def counted(oom: int, oom_kill: int, before_end: float | None) -> Json:
    """The sidecar's status with its last word: what the kernel counted in the trainer's cgroup."""
    memory = {
        "oom": oom,
        "oomKill": oom_kill,
        "limitBytes": 2**30,
        "secondsBeforeEnd": before_end,
    }
    said = json.dumps({"version": 1, "word": None, "memory": memory})
    return terminated(0, "Completed", said, name=SIDECAR)


def running(name: str = TRAINER, restarts: int = 0, last: Json | None = None) -> Json:
    """The status of a container that runs; `last`: how its run before ended."""
    status: Json = {
        "name": name,
        "restartCount": restarts,
        "state": {"running": {"startedAt": STARTED}},
    }
    return {**status, "lastState": {"terminated": last}} if last else status


def waiting(reason: str, message: str = "", *, name: str = TRAINER, restarts: int = 0) -> Json:
    """The status of a container that does not run yet."""
    state = {"reason": reason, "message": message} if message else {"reason": reason}
    return {"name": name, "restartCount": restarts, "state": {"waiting": state}}


def devices(health: str) -> Json:
    """What a kubelet adds to the status of a container that has two devices, the second so."""
    two = [
        {"resourceID": "GPU-1", "health": "Healthy"},
        {"resourceID": "GPU-2", "health": health},
    ]
    return {"allocatedResourcesStatus": [{"name": "nvidia.com/gpu", "resources": two}]}


def forgotten(message: str, exit_code: int = 137) -> Json:
    """How a kubelet says that it found no trace of a container."""
    return {
        "exitCode": exit_code,
        "reason": "ContainerStatusUnknown",
        "message": message,
        "startedAt": None,
        "finishedAt": None,
    }


def failed(reason: str = "", message: str = "", *trainer: Json, **more: Any) -> Json:
    """The status of a pod that is over; without containers, as a rejection leaves it."""
    status: Json = {"phase": "Failed", **more}
    if reason:
        status["reason"] = reason
    if message:
        status["message"] = message
    return {**status, "containerStatuses": list(trainer)} if trainer else status


def rejected(reason: str, message: str) -> Json:
    """As kubelet.rejectPod writes it: what the containers did is gone."""
    return failed(reason, f"Pod was rejected: {message}")


def disrupted(reason: str, message: str = "") -> list[Json]:
    """The conditions of a pod that is to be disrupted."""
    return [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}]


def pending(trainer: Json, sidecar: Json | None = None) -> Json:
    """A bound pod whose containers are being started."""
    return {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": STARTED},
        ],
        "containerStatuses": [trainer],
        "initContainerStatuses": [sidecar or running(SIDECAR)],
    }
