"""What a template's container becomes when it is the trainer: environment, mount and drain hook."""

from collections.abc import Mapping, Sequence
from typing import Any

from spot_operator.api import names
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.observed.snapshot import JobView
from spot_operator.render.script import resume_args
from spot_operator.render.volumes import trainer_mounts

__all__ = ["trainer_container"]

Json = dict[str, Any]


def trainer_container(
    container: Mapping[str, Any], job: JobView, action: CreatePod, *, drain_token: str
) -> Json:
    """The container with our environment, mount and preStop hook; all else is the template's, but
    for the policy of its termination message where the template says nothing.

    The hook holds back SIGTERM until the sidecar has made the last checkpoint durable. It goes by
    number: a port's name is looked up in this container, and the port is the sidecar's.
    """
    hook = {
        "httpGet": {
            "path": names.PATH_DRAIN,
            "port": names.SIDECAR_PORT,
            "httpHeaders": [{"name": names.HEADER_DRAIN, "value": drain_token}],
        }
    }
    ours = _environment(job, action)
    theirs = [entry for entry in container.get("env") or () if entry["name"] not in ours]
    return {
        # The last lines of its log stand in the attempt's record, if it leaves no message itself.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **container,
        # First, so that the template's values may refer to them as $(SPOT_RANK).
        "env": [*({"name": name, "value": value} for name, value in ours.items()), *theirs],
        "volumeMounts": [
            *(container.get("volumeMounts") or ()),
            *trainer_mounts(job.spec.checkpoint),
        ],
        "lifecycle": {**(container.get("lifecycle") or {}), "preStop": hook},
        **_arguments(container, resume_args(job, action)),
    }


def _arguments(container: Mapping[str, Any], more: Sequence[str]) -> Json:
    return {"args": [*(container.get("args") or ()), *more]} if more else {}


def _environment(job: JobView, action: CreatePod) -> dict[str, str]:
    return {
        names.ENV_SOCKET: names.PATH_SOCKET,
        names.ENV_ATTEMPT: str(action.attempt),
        names.ENV_RANK: str(action.rank),
        names.ENV_JOB: job.name,
        names.ENV_NAMESPACE: job.namespace,
    }
