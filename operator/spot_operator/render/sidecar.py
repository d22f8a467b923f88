"""The sidecar's container and `SPOT_CONFIG`, all that the operator tells it at creation."""

import json
from collections.abc import Mapping
from typing import Any, Final

from spot_operator.api import names
from spot_operator.api.keep import Keep
from spot_operator.api.store import Addressing, S3Store, Store
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.observed.snapshot import JobView
from spot_operator.render.pacing import pacing, start_interval
from spot_operator.render.script import directory_config, sidecar_user
from spot_operator.render.settings import RenderSettings
from spot_operator.render.volumes import SIDECAR_EXTRA_BYTES, sidecar_mounts

__all__ = [
    "CONFIG_VERSION",
    "job_name",
    "no_metadata_credentials",
    "pull_secrets",
    "resources",
    "security",
    "sidecar_config",
    "sidecar_container",
    "store_config",
]

Json = dict[str, Any]

CONFIG_VERSION: Final = 1
RESUMING_VERSION: Final = 2
"""With `resumeFrom`: a sidecar that does not know it must not begin from zero."""
_RANKS: Final = 1
_ADDRESSING: Final = {
    Addressing.PATH: "path",
    Addressing.VIRTUAL_HOST: "virtual",
}
_STARTUP_SECONDS: Final = 60
"""A sidecar that serves nothing for so long is restarted: the trainer waits for it."""
_RESTORE_SECONDS: Final = 86_400
"""With a script without the SDK it is ready only when the checkpoint is in place."""
_ANSWER_SECONDS: Final = 5
"""An interpreter that is short of processor time begins slowly."""
_ASKS: Final = f"""\
import socket
port = socket.create_connection(('127.0.0.1', {names.SIDECAR_PORT}), {_ANSWER_SECONDS - 1})
port.sendall(b'GET /healthz HTTP/1.0\\r\\n\\r\\n')
raise SystemExit(b' 200 ' not in port.recv(64))
"""
_IS_READY: Final = ("python3", "-IS", "-c", _ASKS)
"""Asked inside the container: over the network a mesh would stand in between, whose proxy starts
only when the sidecar has started. Istio's webhook turns each probe of the pod to that proxy, and
with a CNI plug-in of Istio's or Linkerd's even those that it leaves alone end there."""


_SECURITY: Final[Json] = {
    "runAsNonRoot": True,
    "runAsUser": names.SIDECAR_UID,
    "runAsGroup": names.SIDECAR_UID,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def sidecar_container(
    job: JobView, action: CreatePod, settings: RenderSettings, *, drain_token: str, grace: int
) -> Json:
    """The native sidecar: an init container that stays, and ends after the trainer.

    `grace` is the pod's termination grace period in seconds.
    """
    checkpoint = job.spec.checkpoint
    directory = checkpoint.source.directory
    config = sidecar_config(job, action, settings, drain_token=drain_token, grace=grace)
    return {
        "name": names.SIDECAR_CONTAINER,
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "env": [
            {"name": names.ENV_CONFIG, "value": json.dumps(config, separators=(",", ":"))},
            _field(names.ENV_POD_NAME, "metadata.name"),
            _field(names.ENV_POD_UID, "metadata.uid"),
            _field(names.ENV_NODE_NAME, "spec.nodeName"),
            *no_metadata_credentials(checkpoint.store),
        ],
        "ports": [
            {
                "name": names.SIDECAR_PORT_NAME,
                "containerPort": names.SIDECAR_PORT,
                "protocol": "TCP",
            }
        ],
        # The kernel charges shared memory to whoever fills it, which is the sidecar.
        "resources": resources(checkpoint.staging.size_limit + SIDECAR_EXTRA_BYTES, settings),
        "securityContext": security(job),
        "startupProbe": {
            "exec": {"command": list(_IS_READY)},
            "periodSeconds": 1,
            "timeoutSeconds": _ANSWER_SECONDS,
            "failureThreshold": _STARTUP_SECONDS if directory is None else _RESTORE_SECONDS,
        },
        "volumeMounts": sidecar_mounts(checkpoint),
    }


def security(job: JobView) -> Json:
    """The security context of whoever has the store's credentials: as whom it may do what."""
    pod = job.spec.template["spec"]
    trainer: Json = next((one for one in pod["containers"] if one["name"] == job.trainer), {})
    return sidecar_user(pod, trainer, _SECURITY, job.spec.checkpoint.source.directory)


def sidecar_config(
    job: JobView, action: CreatePod, settings: RenderSettings, *, drain_token: str, grace: int
) -> Json:
    """The value of `SPOT_CONFIG`, version 1; the sidecar's `config.py` reads it."""
    checkpoint = job.spec.checkpoint
    directory = checkpoint.source.directory
    return {
        "version": CONFIG_VERSION if checkpoint.resume_from is None else RESUMING_VERSION,
        "job": job_name(job),
        "attempt": action.attempt,
        "rank": action.rank,
        "ranks": _RANKS,
        "store": store_config(checkpoint.store),
        "interval": start_interval(checkpoint, action),
        "pacing": pacing(checkpoint, action),
        **({"directory": directory_config(directory)} if directory is not None else {}),
        "highWaterStep": action.high_water,
        "keep": _keep(checkpoint.keep),
        "onNoneValid": checkpoint.on_none_valid.value,
        **_resume_from(job),
        "stagingBytes": checkpoint.staging.size_limit,
        "drainToken": drain_token,
        "graceSeconds": grace,
        "reports": {"url": settings.reports_url, "interval": settings.report_seconds},
        "notices": {"imds": {"enabled": settings.imds_enabled, "endpoint": settings.imds_endpoint}},
    }


def _keep(keep: Keep) -> Json:
    every = keep.milestone_every
    return {
        "newest": keep.newest,
        "milestoneEvery": None if every is None else every.total_seconds(),
    }


def job_name(job: JobView) -> Json:
    """`job` of SPOT_CONFIG."""
    return {"namespace": job.namespace, "name": job.name, "uid": job.uid}


def _resume_from(job: JobView) -> Json:
    asked = job.spec.checkpoint.resume_from
    if asked is None:
        return {}
    known = {
        "namespace": asked.namespace or job.namespace,
        "name": asked.name,
        "uid": asked.uid,
        "checkpoint": asked.checkpoint,
    }
    return {"resumeFrom": {key: value for key, value in known.items() if value is not None}}


def store_config(store: Store) -> Json:
    """`store` of SPOT_CONFIG."""
    if store.volume is not None:
        return {"volume": {"mount": names.PATH_STORE, "path": store.volume.path}}
    return {"s3": _s3(store.s3)} if store.s3 is not None else {}


def _s3(store: S3Store) -> Json:
    known = {
        "bucket": store.bucket,
        "prefix": store.prefix,
        "endpointURL": store.endpoint_url,
        "region": store.region,
        "credentialsDir": names.PATH_CREDENTIALS if store.credentials_secret_name else None,
        "addressing": _ADDRESSING.get(store.addressing),
        "caFile": f"{names.PATH_CA}/{names.CA_FILE}" if store.ca_bundle else None,
    }
    return {key: value for key, value in known.items() if value is not None}


def _field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def no_metadata_credentials(store: Store) -> list[Json]:
    """The environment that keeps a container from looking for keys where it needs none."""
    # With keys from a Secret a look for others at the metadata service can only cost time;
    # with pod identity some providers answer through exactly that service.
    if store.s3 is not None and store.s3.credentials_secret_name is None:
        return []
    return [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}]


def pull_secrets(template: Mapping[str, Any], settings: RenderSettings) -> Json:
    """`imagePullSecrets` of a pod: the template's own, then those of the sidecar's image.

    Nothing where nobody names any: a list, even an empty one, keeps Kubernetes from adding those
    of the pod's service account.
    """
    named = template.get("imagePullSecrets") or []
    known = {one.get("name") for one in named}
    added = [{"name": name} for name in settings.sidecar_pull_secrets if name not in known]
    return {"imagePullSecrets": [*named, *added]} if named or added else {}


def resources(memory_bytes: int, settings: RenderSettings) -> Json:
    """Of a container that runs the sidecar's image; the chart's values decide on processor time."""
    memory = str(memory_bytes)
    limits = {"memory": memory}
    if settings.sidecar_cpu_limit is not None:
        limits["cpu"] = settings.sidecar_cpu_limit
    return {"requests": {"cpu": settings.sidecar_cpu_request, "memory": memory}, "limits": limits}
