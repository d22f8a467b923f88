"""What a pod needs whose script writes its own checkpoints and knows nothing of us."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from spot_operator.api import names
from spot_operator.api.job import DirectoryFormat, DirectorySource
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.observed.snapshot import JobView

__all__ = ["directory_config", "resume_args", "sidecar_user"]

Json = dict[str, Any]

PLACEHOLDER: Final = "{path}"
CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER")
"""For a trainer of whatever user: read files of mode 0600, as safetensors makes them, link them,
and give restored ones back. Kubernetes' baseline level allows these three."""


def directory_config(source: DirectorySource) -> Json:
    """`directory` of SPOT_CONFIG."""
    return {
        "path": source.path,
        "format": source.format.value,
        "settleSeconds": source.settle.total_seconds(),
        "marker": source.marker,
        "processes": source.processes,
        "resumeArgs": bool(source.resume_args),
    }


def resume_args(job: JobView, action: CreatePod) -> tuple[str, ...]:
    """What is appended to the trainer's arguments: nothing before there is a checkpoint to lead to.

    Which checkpoint verifies is decided later; the path leads to it, whichever it is.
    """
    source = job.spec.checkpoint.source.directory
    if source is None or not action.grant.leads_somewhere:
        return ()
    lightning = source.format is DirectoryFormat.LIGHTNING
    path = names.PATH_RESUME_FILE if lightning else names.PATH_RESUME
    return tuple(one.replace(PLACEHOLDER, path) for one in source.resume_args)


def sidecar_user(
    pod: Mapping[str, Any], trainer: Mapping[str, Any], usual: Json, asked: DirectorySource | None
) -> Json:
    """The sidecar's security context, `usual` unless it shares files with a script.

    It then runs as the trainer's user, if the template says who that is; else as root, with the
    few rights that any user's files need.
    """
    if asked is None:
        return usual
    contexts: Sequence[Mapping[str, Any]] = (
        trainer.get("securityContext") or {},
        pod.get("securityContext") or {},
    )
    user = next((one["runAsUser"] for one in contexts if one.get("runAsUser") is not None), None)
    if user is not None:
        return {**usual, "runAsNonRoot": user != 0, "runAsUser": user}
    capabilities = {"drop": ["ALL"], "add": list(CAPABILITIES)}
    return {**usual, "runAsNonRoot": False, "runAsUser": 0, "capabilities": capabilities}
